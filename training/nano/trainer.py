"""Nano's trainer: its scores while it goes, and what it keeps for resuming."""

from __future__ import annotations

from pathlib import Path
from random import Random

import torch

from training.common.measure import character_score
from training.common.tables import Shape as AnyShape
from training.common.trainer import Plan, Trainer
from training.nano.architecture import build_model
from training.nano.model import BatchedNano
from training.nano.samples import decode_labels, draw_batch
from training.nano.shapes import Shape
from training.nano.vocabulary import END_ID, decode_text, tail_ids
from training.nano.world import World

_HELD_OUT_SHAPES = (Shape(1, 7), Shape(1, 16), Shape(2, 12), Shape(5, 8), Shape(8, 12), Shape(10, 12))
"""Grids that training does not see, with words that it does not see."""


class NanoTrainer(Trainer):
    """The model with its optimizer, reported apart for lines (up to 3 cells high) and for taller images."""

    groups = ("lines", "pages")

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, BatchedNano(build_model(plan.seed)))

    def group(self, shape: AnyShape) -> int:
        """Lines or pages."""
        return int(shape.rows > 3)

    def score(self, words: list[str], count: int) -> str:
        """Character scores of greedy reading, on held-out words in grids that training does not see."""
        parts = []
        for shape in _HELD_OUT_SHAPES:
            batch = draw_batch(shape, count, World(Random(f"score/{shape}"), words))
            with torch.autocast("cuda", torch.bfloat16, enabled=self.on_gpu):
                answers = self.reader.generate(
                    torch.from_numpy(batch.patches).to(self.device),
                    torch.tensor(tail_ids("OCR:"), device=self.device),
                    shape,
                    self.tables(shape),
                    END_ID,
                    shape.capacity + 1,
                )
            texts = [decode_labels(row) for row in batch.labels]
            read = [decode_text(row) for row in answers.tolist()]
            parts.append(f"{shape.rows}x{shape.columns} {character_score(read, texts):.4f}")
        return "  ".join(parts)

    def save(self, folder: Path) -> None:
        """Keep what resuming needs."""
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"steps": self.steps, "elapsed": self.elapsed}, folder / "clock.pt")
        torch.save(self.reader.state_dict(), folder / "model.pt")
        torch.save(self.optimizer.state_dict(), folder / "optimizer.pt")

    def load(self, folder: Path) -> None:
        """Take up what `save` kept."""
        clock = torch.load(folder / "clock.pt", weights_only=True)
        self.steps, self.elapsed = clock["steps"], clock["elapsed"]
        self.reader.load_state_dict(torch.load(folder / "model.pt", map_location=self.device, weights_only=True))
        self.optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location=self.device, weights_only=True))
