"""Fields of OpenAI's and of vLLM's that have no effect here, with the values at which they have none.

Clients send their defaults, and fields of newer versions as null or empty. A value that would change the answer is
refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

Zero = Annotated[float, Field(ge=0, le=0)]
One = Annotated[float, Field(ge=1, le=1)]
EmptyList = Annotated[list[JsonValue], Field(max_length=0)]
EmptyObject = Annotated[dict[str, JsonValue], Field(max_length=0)]


class RequestModel(BaseModel):
    """A part of a request: a field that is null or empty is one that was not sent, whoever knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            return sent
        unknown = sent.keys() - cls.model_fields.keys() - {field.alias for field in cls.model_fields.values()}
        return {name: value for name, value in sent.items() if name not in unknown or value not in (None, [], {})}


class IgnoredFields(RequestModel):
    """What may be sent and has no effect."""

    n: Literal[1] | None = Field(None, description="one answer is what there is")
    frequency_penalty: Zero | None = Field(None, description="not supported")
    presence_penalty: Zero | None = Field(None, description="not supported")
    logprobs: Literal[False] | None = Field(None, description="not supported")
    top_logprobs: Literal[0] | None = Field(None, description="not supported")
    tools: EmptyList | None = Field(None, description="not supported")
    tool_choice: Literal["none", "auto"] | None = Field(None, description="there are no tools")
    parallel_tool_calls: bool | None = Field(None, description="there are no tools")
    reasoning_effort: Literal["none"] | None = Field(None, description="the model does not reason")
    modalities: list[Literal["text"]] | None = Field(None, description="text is what there is")
    store: bool | None = Field(None, description="no effect: nothing is stored")
    user: str | None = Field(None, description="no effect")
    safety_identifier: str | None = Field(None, description="no effect")
    prompt_cache_key: str | None = Field(None, description="no effect")
    metadata: dict[str, str] | None = Field(None, description="no effect")
    service_tier: str | None = Field(None, description="no effect")

    top_k: Literal[-1, 0] | None = Field(None, description="vLLM's; not supported")
    min_p: Zero | None = Field(None, description="vLLM's; not supported")
    min_tokens: Literal[0] | None = Field(None, description="vLLM's; not supported")
    length_penalty: One | None = Field(None, description="vLLM's; not supported")
    use_beam_search: Literal[False] | None = Field(None, description="vLLM's; not supported")
    best_of: Literal[1] | None = Field(None, description="vLLM's; not supported")
    ignore_eos: Literal[False] | None = Field(None, description="vLLM's; not supported")
    include_stop_str_in_output: Literal[False] | None = Field(None, description="vLLM's; not supported")
    echo: Literal[False] | None = Field(None, description="vLLM's; not supported")
    add_generation_prompt: Literal[True] | None = Field(None, description="vLLM's; always so")
    continue_final_message: Literal[False] | None = Field(None, description="vLLM's; not supported")
    add_special_tokens: Literal[False] | None = Field(None, description="vLLM's; not supported")
    priority: Literal[0] | None = Field(None, description="vLLM's; not supported")
    chat_template_kwargs: EmptyObject | None = Field(None, description="vLLM's; not supported")
    skip_special_tokens: bool | None = Field(None, description="vLLM's; no effect")
    spaces_between_special_tokens: bool | None = Field(None, description="vLLM's; no effect")
    include_reasoning: bool | None = Field(None, description="vLLM's; no effect")
    request_id: str | None = Field(None, description="vLLM's; no effect, send the header `X-Request-Id`")
    cache_salt: str | None = Field(None, description="vLLM's; no effect")
