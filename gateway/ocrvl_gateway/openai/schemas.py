"""The body of a chat completion: what of OpenAI's and vLLM's fields means something for this model.

A field that is unknown, or asks for what can not be had, is refused by name; a few that change nothing are taken.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

_MAX_SEED = 2**63 - 1
_Zero = Annotated[float, Field(ge=0, le=0)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ImageUrl(_Body):
    """A picture: a data URL, or an address where those are fetched."""

    url: Annotated[str, StringConstraints(min_length=1)]
    detail: Literal["auto", "low", "high", "original"] | None = Field(None, description="changes nothing")


class ImagePart(_Body):
    """A picture in a message."""

    type: Literal["image_url"]
    image_url: ImageUrl
    uuid: str | None = Field(None, description="vLLM's; changes nothing")


class TextPart(_Body):
    """What is asked of the picture: one of PaddleOCR-VL's task prompts, or anything else."""

    type: Literal["text"]
    text: Annotated[str, StringConstraints(max_length=4096)]


Part = Annotated[ImagePart | TextPart, Field(discriminator="type")]


class Message(_Body):
    """The one message of a request."""

    role: Literal["user"]
    content: Annotated[list[Part], Field(min_length=1, max_length=16)]
    name: str | None = Field(None, description="changes nothing")

    @model_validator(mode="after")
    def _check(self) -> Message:
        if (pictures := sum(isinstance(part, ImagePart) for part in self.content)) != 1:
            raise ValueError(f"{pictures} pictures, the model reads exactly one: send a part of the type image_url")
        return self

    @property
    def picture(self) -> ImageUrl:
        """The picture."""
        return next(part.image_url for part in self.content if isinstance(part, ImagePart))

    @property
    def picture_param(self) -> str:
        """Where in the request it stands."""
        number = next(number for number, part in enumerate(self.content) if isinstance(part, ImagePart))
        return f"messages[0].content[{number}].image_url.url"

    @property
    def text(self) -> str:
        """All that is asked."""
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart)).strip()


class StreamOptions(_Body):
    """What a stream brings beside the text."""

    include_usage: bool = False
    continuous_usage_stats: Literal[False] = False


class JsonSchema(_Body):
    """A schema with a name."""

    name: str | None = None
    description: str | None = None
    schema_: dict[str, JsonValue] = Field(alias="schema")
    strict: bool | None = None


class TextFormat(_Body):
    """Text as the model writes it."""

    type: Literal["text"]


class JsonFormat(_Body):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(_Body):
    """JSON that satisfies a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class PictureLimits(_Body):
    """vLLM's way to set the limits of pixels."""

    min_pixels: int | None = None
    max_pixels: int | None = None


class ChatRequest(_Body):
    """A chat completion: one picture, one question."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=8)] | None = None
    seed: Annotated[int, Field(ge=0, le=_MAX_SEED)] | None = None
    response_format: Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None = None

    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = Field(None, description="vLLM's")
    mm_processor_kwargs: PictureLimits | None = Field(None, description="vLLM's: limits of pixels")

    n: Literal[1] | None = Field(None, description="one answer is what there is")
    frequency_penalty: _Zero | None = Field(None, description="not supported")
    presence_penalty: _Zero | None = Field(None, description="not supported")
    logprobs: Literal[False] | None = Field(None, description="not supported")
    skip_special_tokens: bool | None = Field(None, description="vLLM's; changes nothing")
    store: bool | None = Field(None, description="changes nothing: nothing is stored")
    user: str | None = Field(None, description="changes nothing")
    metadata: dict[str, str] | None = Field(None, description="changes nothing")
    service_tier: str | None = Field(None, description="changes nothing")

    @property
    def output_tokens(self) -> int | None:
        """How many are wished for."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def json_schema(self) -> dict[str, Any] | None:
        """What the text must satisfy."""
        match self.response_format:
            case SchemaFormat():
                return self.response_format.json_schema.schema_
            case JsonFormat():
                return {"type": "object"}
            case _:
                return None


class Usage(BaseModel):
    """Tokens; those of the picture are among the prompt's."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    """The model's own words, as it wrote them."""

    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    """The one answer. `stop_reason` says more than OpenAI's reasons can: `repetition` is text that repeated itself."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"]
    stop_reason: Literal["repetition"] | None = None


class ChatResponse(BaseModel):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class Model(BaseModel):
    """A name that the model is asked by."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "ocrvl"


class ModelList(BaseModel):
    """All names, the preferred one first."""

    object: Literal["list"] = "list"
    data: list[Model]
