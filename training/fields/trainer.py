"""The training step, its schedule, and what it keeps for resuming."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from training.fields.architecture import SPECIAL, build_model
from training.fields.attention import fuse_attention
from training.fields.samples import IGNORED, Sample

_WARM_UP = 0.03
_DECAY = 0.02
_CLIP = 1.0


@dataclass(frozen=True)
class Plan:
    """One run.

    `steps` is the whole training's length, over all resumed parts; `until` ends this part. `batch` is the receipts of a
    step; `rate` the highest learning rate; `words` the word list.
    """

    seed: int
    device: str
    steps: int
    until: int
    rate: float
    batch: int
    workers: int
    threads: int
    words: Path
    report_steps: int = 50
    save_steps: int = 250


class Trainer:
    """The model with its optimizer."""

    def __init__(self, plan: Plan) -> None:
        torch.set_num_threads(plan.threads)
        self.plan = plan
        self.device = torch.device(plan.device)
        self.model = build_model(plan.seed)
        fuse_attention(self.model)
        self.bands = BandLoss(self.model)
        self.model.to(self.device)
        self.bands.to(self.device)
        parameters = [*self.model.parameters(), *self.bands.parameters()]
        matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
        others = [parameter for parameter in parameters if parameter.ndim < 2]
        groups = [{"params": matrices, "weight_decay": _DECAY}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, plan.rate, (0.9, 0.98))
        self.steps = 0
        self._losses: list[float] = []
        self._of_bands: list[float] = []

    @property
    def progress(self) -> float:
        """How much of the training is done, 0 to 1."""
        return self.steps / self.plan.steps

    def step(self, samples: Sequence[Sample]) -> None:
        """One step on one batch."""
        warm = min(1.0, (self.steps + 1) / _WARM_UP / self.plan.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate * warm * 0.5 * (1 + math.cos(math.pi * self.progress))
        inputs = {name: tensor.to(self.device) for name, tensor in collate(samples).items()}
        on_band = inputs.pop("on_band")
        loss = self.model(**inputs).loss
        of_bands = self.bands(on_band)
        (loss + of_bands).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._losses.append(float(loss.detach()))
        self._of_bands.append(float(of_bands.detach()))
        self.steps += 1

    def report(self) -> str:
        """The mean losses since the last report."""
        bands, labels = (sum(losses) / max(1, len(losses)) for losses in (self._of_bands, self._losses))
        self._losses.clear()
        self._of_bands.clear()
        return f"step {self.steps}: bands {bands:.5f}, loss {labels:.5f}"

    def save(self, folder: Path) -> None:
        """Keep what resuming needs."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "steps": self.steps,
            "model": self.model.state_dict(),
            "bands": self.bands.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, folder / "state.new")
        (folder / "state.new").replace(folder / "state.pt")

    def load(self, folder: Path) -> None:
        """Take up what `save` kept."""
        state = torch.load(folder / "state.pt", map_location=self.device, weights_only=True)
        self.steps = state["steps"]
        self.model.load_state_dict(state["model"])
        self.bands.head.load_state_dict(state["bands"])
        self.optimizer.load_state_dict(state["optimizer"])


class BandLoss(torch.nn.Module):
    """A second question that teaches words to look at the image: which of them stand on a coloured band.

    Asked of the middle layer, so that those behind it know; its few weights are not exported. What a field is tells it
    of few receipts, and the image would hardly be learnt from that.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = torch.nn.Linear(model.config.hidden_size, 2)
        layers = model.layoutlmv3.encoder.layer
        layers[len(layers) // 2 - 1].register_forward_hook(self._keep)
        self._hidden: torch.Tensor | None = None

    def forward(self, on_band: torch.Tensor) -> torch.Tensor:
        """The loss for the last pass; `on_band` int64 [B, T]."""
        assert self._hidden is not None
        found = self.head(self._hidden[:, : on_band.shape[1]])
        self._hidden = None
        loss = F.cross_entropy(found.flatten(0, 1), on_band.flatten(), ignore_index=IGNORED, reduction="sum")
        return loss / max(1, int((on_band != IGNORED).sum()))

    def _keep(self, _layer: Any, _inputs: Any, output: torch.Tensor) -> None:
        self._hidden = output


def collate(samples: Sequence[Sample]) -> dict[str, torch.Tensor]:
    """A batch as the model takes it, padded to its longest window."""
    longest = max(len(sample.ids) for sample in samples)
    ids = np.full((len(samples), longest), SPECIAL.pad, np.int64)
    boxes = np.zeros((len(samples), longest, 4), np.int64)
    labels = np.full((len(samples), longest), IGNORED, np.int64)
    on_band = labels.copy()
    for row, sample in enumerate(samples):
        length = len(sample.ids)
        ids[row, :length], boxes[row, :length], labels[row, :length] = sample.ids, sample.boxes, sample.labels
        on_band[row, :length] = sample.on_band
    return {
        "input_ids": torch.from_numpy(ids),
        "bbox": torch.from_numpy(boxes),
        "labels": torch.from_numpy(labels),
        "on_band": torch.from_numpy(on_band),
        "attention_mask": torch.from_numpy((ids != SPECIAL.pad).astype(np.int64)),
        "pixel_values": torch.from_numpy(np.stack([sample.pixels for sample in samples])),
    }
