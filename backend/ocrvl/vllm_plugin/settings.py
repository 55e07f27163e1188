"""What the plugin reads of the engine argument `additional_config` about the vision encoder."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

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


EncoderPrecision = Literal["auto", "fp8"]
"""Under `encoder_precision`: what the encoder's large products are computed in; `auto` is the model's dtype."""

FP8: Final[EncoderPrecision] = "fp8"
FP8_CAPABILITY: Final = 89
"""The compute capability from which GPUs have FP8, ten times: Ada's and Hopper's."""


def wants_fp8(additional_config: Any) -> bool:
    """Whether an engine's `additional_config` asks for FP8."""
    return bool((additional_config or {}).get("encoder_precision") == FP8)


def find_fp8_problem(*, dtype: str, tensor_parallel_size: int, quantization: str | None) -> str | None:
    """Why the encoder of such an engine cannot compute in FP8 on the device that vLLM has found; None where it can.

    `dtype` is as torch or the engine's arguments have it.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cuda() or not current_platform.has_device_capability(FP8_CAPABILITY):
        name = current_platform.get_device_name() if current_platform.is_cuda() else current_platform.device_type
        return f"expected an NVIDIA GPU of compute capability 8.9 or more, found {name}; leave it out"
    if dtype.removeprefix("torch.") not in ("auto", "bfloat16"):
        return f"expected bfloat16, found dtype {dtype}"
    if tensor_parallel_size > 1:
        return f"expected tensor_parallel_size 1, found {tensor_parallel_size}"
    if quantization:
        return f"expected weights that are not quantized, found quantization {quantization}"
    return None
