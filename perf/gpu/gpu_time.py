"""The GPU's own time: which kernels ran, and for how long, by torch's profiler."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

_NAMES: Final = (
    (re.compile(r"flash|fmha|attention", re.IGNORECASE), "attention"),
    (re.compile(r"gemm|cutlass|nvjet|xmma|cublas|splitk", re.IGNORECASE), "matrix products"),
    (re.compile(r"^_rotate"), "rotary positions"),
    (re.compile(r"^_add_norm"), "sums and norms"),
    (re.compile(r"^_quantize"), "FP8"),
    (re.compile(r"layer_norm", re.IGNORECASE), "norms"),
    (re.compile(r"gelu", re.IGNORECASE), "GELU"),
    (re.compile(r"memcpy|memset|copy|cat|index", re.IGNORECASE), "copies"),
)


def profile_kernels(call: Callable[[], Any]) -> Mapping[str, float]:
    """Seconds of each kind of kernel in one call; nothing where there is no GPU."""
    if not torch.cuda.is_available():
        return {}
    call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    seconds: Counter[str] = Counter()
    for event in kernel_events(profiler):
        seconds[kind_of(event.name)] += event.time_range.elapsed_us() / 1e6
    return dict(seconds.most_common())


def kernel_events(profiler: Any) -> list[Any]:
    """What ran on the GPU: kernels, and copies among them."""
    return [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]


def kind_of(kernel: str) -> str:
    """What a kernel does, by its name.

    >>> kind_of("void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl>")
    'GELU'
    >>> kind_of("nvjet_sm90_tst_128x256_64x4_1x2_h_bz_coopA_bias_TNT")
    'matrix products'
    """
    return next((kind for pattern, kind in _NAMES if pattern.search(kernel)), "others")
