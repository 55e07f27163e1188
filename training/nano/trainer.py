"""The training step, its schedule, its scores while it goes, and what it keeps for resuming."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from training.nano.architecture import build_model
from training.nano.measure import character_score
from training.nano.model import BatchedNano
from training.nano.optimizer import Optimizer
from training.nano.samples import Batch, decode_labels, draw_batch
from training.nano.shapes import Shape
from training.nano.tables import Tables
from training.nano.vocabulary import END_ID, decode_text, tail_ids
from training.nano.world import World

_CELL_WEIGHT = 2.0
_WARM_UP = 0.01
_HELD_OUT_SHAPES = (Shape(1, 7), Shape(1, 16), Shape(2, 12), Shape(5, 8), Shape(8, 12), Shape(10, 12))
"""Grids that training does not see, with words that it does not see."""


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
    words: Path
    muon: bool = True
    compiled: bool = True
    report_seconds: float = 20.0
    score_seconds: float = 120.0


class Trainer:
    """The model with its optimizer; on a GPU each shape's forward and backward pass is one CUDA graph."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.device = torch.device(plan.device)
        self.nano = BatchedNano(build_model(plan.seed)).to(self.device)
        self.on_gpu = self.device.type == "cuda"
        if plan.compiled and self.on_gpu:
            self.nano.compile_layers()
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in self.nano.named_parameters():
            hidden = plan.muon and parameter.ndim == 2 and ("layers" in name or "projector" in name)
            (matrices if hidden else others).append(parameter)
        self.optimizer = Optimizer(matrices, others)
        self.metrics = torch.zeros(2, 5, device=self.device)
        self.steps = 0
        self.elapsed = 0.0
        self._tables: dict[Shape, Tables] = {}
        self._graphs: dict[Shape, tuple[torch.cuda.CUDAGraph, list[Tensor]]] = {}
        self._step_graph: torch.cuda.CUDAGraph | None = None

    @property
    def progress(self) -> float:
        """How much of the training is done, 0 to 1."""
        return min(1.0, self.elapsed / self.plan.seconds)

    def tables(self, shape: Shape) -> Tables:
        """The shape's tables, made once."""
        if shape not in self._tables:
            self._tables[shape] = self.nano.tables(shape)
        return self._tables[shape]

    def step(self, batch: Batch, shape: Shape) -> None:
        """One step on one batch; on a GPU it is only enqueued."""
        warm = min(1.0, self.progress / _WARM_UP)
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
            metrics = self.nano(patches, tails.long(), labels, cells, shape, self.tables(shape))
            loss = metrics[0] + _CELL_WEIGHT * metrics[1]
        loss.backward()
        self.metrics[int(shape.rows > 3)] += torch.cat((metrics.detach(), torch.ones_like(metrics[:1])))

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
        """Mean metrics since the last report, apart for lines (up to 3 cells high) and for taller images."""
        parts = []
        for name, row in zip(("lines", "pages"), self.metrics.tolist(), strict=True):
            if row[4]:
                text, cell, right, cells_right = (value / row[4] for value in row[:4])
                parts.append(f"{name}: loss {text:.3f} + cells {cell:.3f}, right {right:.4f} cells {cells_right:.4f}")
        self.metrics.zero_()
        return "; ".join(parts)

    def score(self, words: list[str], count: int) -> str:
        """Character scores of greedy reading, on held-out words in grids that training does not see."""
        parts = []
        for shape in _HELD_OUT_SHAPES:
            batch = draw_batch(shape, count, World(Random(f"score/{shape}"), words))
            with torch.autocast("cuda", torch.bfloat16, enabled=self.on_gpu):
                answers = self.nano.generate(
                    torch.from_numpy(batch.patches).to(self.device),
                    torch.tensor(tail_ids("OCR:"), device=self.device),
                    shape,
                    self.tables(shape),
                    END_ID,
                )
            texts = [decode_labels(row) for row in batch.labels]
            read = [decode_text(row) for row in answers.tolist()]
            parts.append(f"{shape.rows}x{shape.columns} {character_score(read, texts):.4f}")
        return "  ".join(parts)

    def save(self, folder: Path) -> None:
        """Keep what resuming needs."""
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"steps": self.steps, "elapsed": self.elapsed}, folder / "clock.pt")
        torch.save(self.nano.state_dict(), folder / "model.pt")
        torch.save(self.optimizer.state_dict(), folder / "optimizer.pt")

    def load(self, folder: Path) -> None:
        """Take up what `save` kept."""
        clock = torch.load(folder / "clock.pt", weights_only=True)
        self.steps, self.elapsed = clock["steps"], clock["elapsed"]
        self.nano.load_state_dict(torch.load(folder / "model.pt", map_location=self.device, weights_only=True))
        self.optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location=self.device, weights_only=True))
