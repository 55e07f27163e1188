"""The vision encoder in CUDA graphs: one launch for some 350 kernels, whose launches cost more than they do.

A graph holds for one number of patches, its budget. Images go into buffers that stay where they are; what they leave
of a budget is filled by padding sequences, whose output is not read. Above the largest budget the GPU is busy anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

Parts = tuple[Sequence[torch.Tensor], Sequence[torch.Tensor], Sequence[torch.Tensor], Sequence[torch.Tensor]]
"""Patches, positions, cosines and sines of each image."""

Encode = Callable[["EncoderInput"], torch.Tensor]
Capture = Callable[[Encode, "EncoderInput"], Callable[[], torch.Tensor]]
"""Makes of the encoder, and of input that stays where it is, what runs the one on the other."""

SEQUENCES: Final = 65
"""Images of a graph and what fills it up: more images than that do not fit into the largest budget, at the
smallest size of PaddleOCR-VL (704 patches)."""

_FILLING: Final = 512
"""Patches of a sequence that fills up: attention's cost grows with the square."""


@dataclass(frozen=True)
class EncoderInput:
    """What one pass takes; P is the number of all patches.

    `patches` uint8 or normalised [P, 3·patch·patch], `position` [P, hidden] in the model's dtype, `cos` and `sin`
    float32 [P, head size / 2], `bounds` int32 [sequences + 1], where each begins and the last ends; `longest` is the
    longest of them, or more.
    """

    patches: torch.Tensor
    position: torch.Tensor
    cos: torch.Tensor
    sin: torch.Tensor
    bounds: torch.Tensor
    longest: int

    @classmethod
    def of(cls, parts: Parts, sizes: Sequence[int]) -> EncoderInput:
        """Images of so many patches, packed."""
        patches, position, cos, sin = (torch.cat(list(part)) for part in parts)
        bounds = torch.from_numpy(np.cumsum([0, *sizes], dtype=np.int32)).to(patches.device, non_blocking=True)
        return cls(patches, position, cos, sin, bounds, max(sizes))

    def stretched(self, patches: int) -> EncoderInput:
        """Empty buffers like these for so many patches."""

        def stretch(part: torch.Tensor) -> torch.Tensor:
            return part.new_zeros(patches, part.shape[1])

        return EncoderInput(
            stretch(self.patches),
            stretch(self.position),
            stretch(self.cos),
            stretch(self.sin),
            self.bounds.new_zeros(SEQUENCES + 1),
            patches,
        )

    def first(self, patches: int) -> EncoderInput:
        """The same buffers up to so many patches."""
        return EncoderInput(
            self.patches[:patches],
            self.position[:patches],
            self.cos[:patches],
            self.sin[:patches],
            self.bounds,
            patches,
        )


class EncoderGraphs:
    """A graph for each budget of patches. They share their buffers, so one runs after the other."""

    def __init__(self, encode: Encode, buffers: EncoderInput, budgets: Sequence[int], capture: Capture) -> None:
        # the largest first: the others find its memory in the pool
        self._graphs = [
            EncoderGraph(encode, buffers.first(budget), capture) for budget in sorted(budgets, reverse=True)
        ][::-1]

    def find(self, sizes: Sequence[int]) -> EncoderGraph | None:
        """The smallest that images of so many patches fit into."""
        if len(sizes) >= SEQUENCES:
            return None
        total = sum(sizes)
        return next((graph for graph in self._graphs if graph.budget >= total), None)


class EncoderGraph:
    """The encoder for `budget` patches."""

    def __init__(self, encode: Encode, buffers: EncoderInput, capture: Capture) -> None:
        self.budget: Final = len(buffers.patches)
        self._buffers = buffers
        buffers.bounds.copy_(torch.from_numpy(bounds_of([self.budget], self.budget)))
        self._replay = capture(encode, buffers)

    def __call__(self, parts: Parts, sizes: Sequence[int]) -> torch.Tensor:
        """Encode images of so many patches: a new tensor [P / merge², text hidden], without what fills up."""
        total, buffers = sum(sizes), self._buffers
        for part, buffer in zip(parts, (buffers.patches, buffers.position, buffers.cos, buffers.sin), strict=True):
            torch.cat(list(part), out=buffer[:total])
        buffers.bounds.copy_(torch.from_numpy(bounds_of(sizes, self.budget)), non_blocking=True)
        encoded = self._replay()
        # the next call writes over it
        return encoded[: total * len(encoded) // self.budget].clone()


def bounds_of(sizes: Sequence[int], budget: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Where sequences of these sizes begin, then those that fill up the budget, then empty ones at its end.

    >>> bounds_of([4, 8], 1036)[:6].tolist(), len(bounds_of([4, 8], 1036))
    ([0, 4, 12, 524, 1036, 1036], 66)
    """
    bounds = np.full(SEQUENCES + 1, budget, np.int32)
    bounds[: len(sizes) + 1] = np.cumsum([0, *sizes])
    total, free = int(bounds[len(sizes)]), SEQUENCES - len(sizes)
    fillers = min(free, -(-(budget - total) // _FILLING))
    if fillers:
        ends = np.linspace(total, budget, fillers + 1)[1:]
        bounds[len(sizes) + 1 : len(sizes) + 1 + fillers] = ends
    return bounds


def capture_graph(encode: Encode, buffers: EncoderInput) -> Callable[[], torch.Tensor]:
    """A CUDA graph of the encoder, in the memory pool that vLLM's own graphs share."""
    from vllm.platforms import current_platform

    pool = current_platform.get_global_graph_pool()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        # what is compiled and allocated once
        encode(buffers)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        encoded = encode(buffers)

    def replay() -> torch.Tensor:
        graph.replay()
        return encoded

    return replay
