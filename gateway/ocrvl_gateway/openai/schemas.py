"""The body of a chat completion: what of OpenAI's and vLLM's fields means something for this model.

A field that is unknown, or has a value that is not supported, is refused by name; `ignored_fields` have no effect.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, JsonValue, StringConstraints, model_validator

from ocrvl_gateway.openai.ignored_fields import IgnoredFields, RequestModel

_MAX_SEED = 2**63 - 1


def _as_part(content: Any) -> Any:
    """Content that is a text alone, as a list of parts."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_image_url(url: Any) -> Any:
    """A URL that stands by itself, as vLLM takes it too, in OpenAI's form."""
    return {"url": url} if isinstance(url, str) else url


class ImageUrl(RequestModel):
    """An image: a data URL, or another where those are fetched."""

    url: Annotated[str, StringConstraints(min_length=1)]
    detail: Literal["auto", "low", "high", "original"] | None = Field(None, description="no effect")


class ImagePart(RequestModel):
    """An image in a message."""

    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, BeforeValidator(_as_image_url, json_schema_input_type=ImageUrl | str)]
    uuid: str | None = Field(None, description="vLLM's; no effect")


class TextPart(RequestModel):
    """The prompt: one of PaddleOCR-VL's task prompts, or anything else."""

    type: Literal["text"]
    text: Annotated[str, StringConstraints(max_length=4096)]


Part = Annotated[ImagePart | TextPart, Field(discriminator="type")]


_Parts = BeforeValidator(_as_part, json_schema_input_type=list[Part] | str)
_Texts = BeforeValidator(_as_part, json_schema_input_type=list[TextPart] | str)


class UserMessage(RequestModel):
    """An image and its prompt."""

    role: Literal["user"]
    content: Annotated[list[Part], Field(min_length=1, max_length=16), _Parts]
    name: str | None = Field(None, description="no effect")

    @model_validator(mode="after")
    def _check(self) -> UserMessage:
        if (images := sum(isinstance(part, ImagePart) for part in self.content)) != 1:
            raise ValueError(f"{images} images, the model reads exactly one: send a part of the type image_url")
        return self

    @property
    def image_index(self) -> int:
        """The index of the image among the parts of the content."""
        return next(number for number, part in enumerate(self.content) if isinstance(part, ImagePart))

    @property
    def image(self) -> ImageUrl:
        """The image."""
        return next(part.image_url for part in self.content if isinstance(part, ImagePart))

    @property
    def text(self) -> str:
        """The prompt: all text of the message."""
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart)).strip()


class SystemMessage(RequestModel):
    """What clients put in front; the model knows no such messages, so the answer says that it has no effect."""

    role: Literal["system", "developer"]
    content: Annotated[list[TextPart], Field(max_length=16), _Texts] | None = None
    name: str | None = Field(None, description="no effect")

    @property
    def is_empty(self) -> bool:
        """Whether it has no text."""
        return not any(part.text.strip() for part in self.content or [])


Message = Annotated[UserMessage | SystemMessage, Field(discriminator="role")]


def _check_messages(messages: list[Message]) -> list[Message]:
    if (count := sum(isinstance(message, UserMessage) for message in messages)) != 1:
        raise ValueError(f"{count} messages of the role user, exactly one is read: send each image in its own request")
    return messages


class StreamOptions(RequestModel):
    """What a stream has beside the text."""

    include_usage: bool = False
    continuous_usage_stats: Literal[False] = False


class JsonSchema(RequestModel):
    """A schema with a name."""

    name: str | None = None
    description: str | None = None
    schema_: dict[str, JsonValue] = Field(alias="schema")
    strict: bool | None = None


class TextFormat(RequestModel):
    """Text as the model writes it."""

    type: Literal["text"]


class JsonFormat(RequestModel):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(RequestModel):
    """JSON that satisfies a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class ImageProcessorOptions(RequestModel):
    """vLLM's options of the image processor: limits of pixels."""

    min_pixels: int | None = None
    max_pixels: int | None = None


class ChatRequest(IgnoredFields):
    """The request of a chat completion: one image, one prompt."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=16), AfterValidator(_check_messages)]
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
    mm_processor_kwargs: ImageProcessorOptions | None = Field(None, description="vLLM's: limits of pixels")

    @property
    def user_message(self) -> UserMessage:
        """The message that is read."""
        return next(message for message in self.messages if isinstance(message, UserMessage))

    @property
    def image_param(self) -> str:
        """The field of the request that holds the image."""
        message = self.user_message
        return f"messages[{self.messages.index(message)}].content[{message.image_index}].image_url.url"

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
        """The limit that was requested."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def json_schema(self) -> dict[str, Any] | None:
        """The JSON schema that the text must satisfy."""
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


class AssistantMessage(BaseModel):
    """The model's own words, as it wrote them."""

    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    """The one choice. `stop_reason` says more than OpenAI's reasons can: `repetition` is text that repeated itself."""

    index: int = 0
    message: AssistantMessage
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
    """A name of the model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "ocrvl"


class ModelList(BaseModel):
    """All names, the preferred one first."""

    object: Literal["list"] = "list"
    data: list[Model]
