"""The training step and its schedule: a batch's gradients, and on a GPU one CUDA graph a shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.common.batches import Batch
from training.common.model import BatchedReader
from training.common.optimizer import Optimizer
from training.common.tables import Shape, Tables

_CELL_WEIGHT = 2.0
_WARM_UP = 0.01
_RESUME_SECONDS = 5.0


@dataclass(frozen=True)
class Plan:
    """One run.

    `seconds` is the whole training's length, over all resumed parts; `until` ends this part. `batch_tokens` as in
    `Shape.batch_size`; `rate` the highest learning rate; `muon` whether hidden matrices are trained by Muon.
    """

    seed: int
    device: str
    seconds: float
    until: float
    rate: float
    batch_tokens: int
    workers: int
    reuse: int
    muon: bool = True
    compiled: bool = True
    report_seconds: float = 20.0
    score_seconds: float = 120.0


class Trainer:
    """The model with its optimizer; on a GPU each shape's forward and backward pass is one CUDA graph."""

    groups: Sequence[str] = ("all",)
    """What metrics are told apart for."""

    def __init__(self, plan: Plan, reader: BatchedReader) -> None:
        self.plan = plan
        self.device = torch.device(plan.device)
        self.reader = reader.to(self.device)
        self.on_gpu = self.device.type == "cuda"
        if plan.compiled and self.on_gpu:
            self.reader.compile_layers()
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in self.reader.named_parameters():
            hidden = plan.muon and parameter.ndim == 2 and ("layers" in name or "projector" in name)
            (matrices if hidden else others).append(parameter)
        self.optimizer = Optimizer(matrices, others)
        self.metrics = torch.zeros(len(self.groups), 5, device=self.device)
        self.steps = 0
        self.elapsed = 0.0
        self.resumed = 0.0
        """When this part began: momenta that were not kept come back while the rate grows anew."""
        self._tables: dict[Shape, Tables] = {}
        self._graphs: dict[Shape, tuple[torch.cuda.CUDAGraph, list[Tensor]]] = {}
        self._step_graph: torch.cuda.CUDAGraph | None = None

    @property
    def progress(self) -> float:
        """How much of the training is done, 0 to 1."""
        return min(1.0, self.elapsed / self.plan.seconds)

    def group(self, shape: Shape) -> int:  # noqa: ARG002 - whoever has several groups tells them apart by it
        """Which of `groups` a shape's metrics are added to."""
        return 0

    def tables(self, shape: Shape) -> Tables:
        """The shape's tables, made once."""
        if shape not in self._tables:
            self._tables[shape] = self.reader.tables(shape)
        return self._tables[shape]

    def step(self, batch: Batch, shape: Shape) -> None:
        """One step on one batch; on a GPU it is only enqueued."""
        warm = min(1.0, self.progress / _WARM_UP, (self.elapsed - self.resumed) / _RESUME_SECONDS)
        self.optimizer.rate.fill_(self.plan.rate * warm * 0.5 * (1 + math.cos(math.pi * self.progress)))
        arrays = (batch.patches, batch.tails, batch.labels, batch.cells)
        if not self.on_gpu:
            self._accumulate([torch.from_numpy(array) for array in arrays], shape)
            self.optimizer.step()
        else:
            if shape not in self._graphs:
                self._graphs[shape] = self._capture(arrays, shape)
            graph, inputs = self._graphs[shape]
            for held, array in zip(inputs, arrays, strict=True):
                held.copy_(torch.from_numpy(array), non_blocking=True)
            graph.replay()
            if self._step_graph is None:
                self._step_graph = self._capture_step()
            self._step_graph.replay()
        self.steps += 1

    def _accumulate(self, inputs: list[Tensor], shape: Shape) -> None:
        """Add a batch's gradients and metrics to what is there."""
        patches, tails, labels, cells = inputs
        with torch.autocast("cuda", torch.bfloat16, enabled=self.on_gpu):
            metrics = self.reader(patches, tails.long(), labels, cells, shape, self.tables(shape))
            loss = metrics[0] + _CELL_WEIGHT * metrics[1]
        loss.backward()
        self.metrics[self.group(shape)] += torch.cat((metrics.detach(), torch.ones_like(metrics[:1])))

    def _capture(self, arrays: tuple[object, ...], shape: Shape) -> tuple[torch.cuda.CUDAGraph, list[Tensor]]:
        inputs = [torch.from_numpy(array).to(self.device) for array in arrays]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries set themselves up outside the capture
            self._accumulate(inputs, shape)
        torch.cuda.current_stream().wait_stream(stream)
        torch._foreach_zero_([parameter.grad for parameter in self.optimizer.parameters])
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool()):
            self._accumulate(inputs, shape)
        return graph, inputs

    def _capture_step(self) -> torch.cuda.CUDAGraph:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.optimizer.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool()):
            self.optimizer.step()
        return graph

    def _pool(self) -> tuple[int, int] | None:
        """Graphs run one at a time: they may share memory."""
        return next(iter(self._graphs.values()))[0].pool() if self._graphs else None

    def report(self) -> str:
        """Mean metrics since the last report, apart for each group."""
        parts = []
        for name, row in zip(self.groups, self.metrics.tolist(), strict=True):
            if row[4]:
                text, cell, right, cells_right = (value / row[4] for value in row[:4])
                parts.append(f"{name}: loss {text:.3f} + cells {cell:.3f}, right {right:.4f} cells {cells_right:.4f}")
        self.metrics.zero_()
        return "; ".join(parts)
