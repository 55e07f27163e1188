"""The body of a chat completion: what of OpenAI's and vLLM's fields means something for this model.

A field that is unknown, or asks for what cannot be had, is refused by name; what asks for nothing (`neutral`) is
taken.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, JsonValue, StringConstraints, model_validator

from ocrvl_gateway.openai.neutral import Body, WithoutEffect

_MAX_SEED = 2**63 - 1


def _as_part(content: Any) -> Any:
    """Content that is a text alone, as a list of parts."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_address(url: Any) -> Any:
    """An address that stands by itself, as vLLM takes it too, in OpenAI's form."""
    return {"url": url} if isinstance(url, str) else url


class ImageUrl(Body):
    """An image: a data URL, or an address where those are fetched."""

    url: Annotated[str, StringConstraints(min_length=1)]
    detail: Literal["auto", "low", "high", "original"] | None = Field(None, description="changes nothing")


class ImagePart(Body):
    """An image in a message."""

    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, BeforeValidator(_as_address, json_schema_input_type=ImageUrl | str)]
    uuid: str | None = Field(None, description="vLLM's; changes nothing")


class TextPart(Body):
    """What is asked of the image: one of PaddleOCR-VL's task prompts, or anything else."""

    type: Literal["text"]
    text: Annotated[str, StringConstraints(max_length=4096)]


Part = Annotated[ImagePart | TextPart, Field(discriminator="type")]


_Parts = BeforeValidator(_as_part, json_schema_input_type=list[Part] | str)
_Texts = BeforeValidator(_as_part, json_schema_input_type=list[TextPart] | str)


class UserMessage(Body):
    """An image, and what is asked of it."""

    role: Literal["user"]
    content: Annotated[list[Part], Field(min_length=1, max_length=16), _Parts]
    name: str | None = Field(None, description="changes nothing")

    @model_validator(mode="after")
    def _check(self) -> UserMessage:
        if (images := sum(isinstance(part, ImagePart) for part in self.content)) != 1:
            raise ValueError(f"{images} images, the model reads exactly one: send a part of the type image_url")
        return self

    @property
    def image_place(self) -> int:
        """Which part of the content the image is."""
        return next(number for number, part in enumerate(self.content) if isinstance(part, ImagePart))

    @property
    def image(self) -> ImageUrl:
        """The image."""
        return next(part.image_url for part in self.content if isinstance(part, ImagePart))

    @property
    def text(self) -> str:
        """All that is asked."""
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart)).strip()


class SystemMessage(Body):
    """What clients put in front; the model knows no such messages, so the answer says that it has no effect."""

    role: Literal["system", "developer"]
    content: Annotated[list[TextPart], Field(max_length=16), _Texts] | None = None
    name: str | None = Field(None, description="changes nothing")

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not any(part.text.strip() for part in self.content or [])


Message = Annotated[UserMessage | SystemMessage, Field(discriminator="role")]


def _one_question(messages: list[Message]) -> list[Message]:
    if (asked := sum(isinstance(message, UserMessage) for message in messages)) != 1:
        raise ValueError(f"{asked} messages of the role user, exactly one is read: send each image in its own request")
    return messages


class StreamOptions(Body):
    """What a stream brings beside the text."""

    include_usage: bool = False
    continuous_usage_stats: Literal[False] = False


class JsonSchema(Body):
    """A schema with a name."""

    name: str | None = None
    description: str | None = None
    schema_: dict[str, JsonValue] = Field(alias="schema")
    strict: bool | None = None


class TextFormat(Body):
    """Text as the model writes it."""

    type: Literal["text"]


class JsonFormat(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Body):
    """JSON that satisfies a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class ImageLimits(Body):
    """vLLM's way to set the limits of pixels."""

    min_pixels: int | None = None
    max_pixels: int | None = None


class ChatRequest(WithoutEffect):
    """A chat completion: one image, one question."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=16), AfterValidator(_one_question)]
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
    mm_processor_kwargs: ImageLimits | None = Field(None, description="vLLM's: limits of pixels")

    @property
    def question(self) -> UserMessage:
        """The message that is read."""
        return next(message for message in self.messages if isinstance(message, UserMessage))

    @property
    def image_param(self) -> str:
        """Where in the request the image stands."""
        return f"messages[{self.messages.index(self.question)}].content[{self.question.image_place}].image_url.url"

    @property
    def warnings(self) -> list[str]:
        """What was sent and has no effect, though it may have been meant to have one."""
        return [
            f"messages[{number}]: a message of the role {message.role} has no effect, the model knows none"
            for number, message in enumerate(self.messages)
            if isinstance(message, SystemMessage) and not message.is_empty
        ]

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
    """Tokens; those of the image are among the prompt's."""

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
    warnings: list[str] | None = Field(None, description="what was sent and has no effect; only where there is such")


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
