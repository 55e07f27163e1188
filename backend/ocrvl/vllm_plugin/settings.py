"""What the plugin reads of the engine argument `additional_config` about the vision encoder."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

_BUDGETS: Final = (512, 768, 1024, 1536, 2048, 3072, 4096)
"""Up to here an H200 takes less time for the kernels than its host takes to launch them (`perf.gpu.encoder`)."""

_Budget = Annotated[int, Field(ge=4, multiple_of=4)]


class EncoderGraphSettings(BaseModel):
    """Under `encoder_graphs`: for how many patches there is a graph each; none for no graphs."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    patches: list[_Budget] = Field(list(_BUDGETS), max_length=32)

    @classmethod
    def of(cls, vllm_config: Any) -> EncoderGraphSettings:
        """Those of an engine. Raises `ValidationError`."""
        return cls.model_validate((vllm_config.additional_config or {}).get("encoder_graphs", {}))
