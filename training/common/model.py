"""A batched forward pass over transformers' own PaddleOCR-VL modules, for images of one grid.

transformers' vision attention, projector and position ids loop over the images of a batch. Where all images share
a grid they need not: `tables` are made once for a grid, and the numbers stay those of transformers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn
from transformers import PaddleOCRVLForConditionalGeneration

from training.common.layers import rms_norm, text_layer, vision_layer
from training.common.tables import Shape, Tables, make_tables

IGNORED = -100
"""The label of what is not to be predicted (PyTorch's default)."""


class CellHead(nn.Module):
    """The throw-away head: softmaxes over the characters whose centres fall in a visual token's cell.

    A class is 0, no further character, or 1 and the character's place among those of the world.
    """

    def __init__(self, hidden_size: int, slots: Sequence[int], classes: int) -> None:
        super().__init__()
        self.split = (*slots, classes)
        self.norm = nn.LayerNorm(hidden_size)
        self.out = nn.Linear(hidden_size, math.prod(self.split))

    def forward(self, features: Tensor) -> Tensor:
        """Projected features [..., hidden] to logits [..., *slots, classes]."""
        logits: Tensor = self.out(self.norm(features))
        return logits.unflatten(-1, self.split)


class BatchedReader(nn.Module):
    """The model of transformers, run on batches of one grid; owns no weights but the auxiliary head's."""

    def __init__(
        self,
        model: PaddleOCRVLForConditionalGeneration,
        head_ids: Sequence[int],
        slots: Sequence[int],
        classes: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.cell_head = CellHead(model.config.text_config.hidden_size, slots, classes)
        self.head_ids = nn.Buffer(torch.tensor(head_ids), persistent=False)
        self._vision_layer = vision_layer
        self._text_layer = text_layer

    def compile_layers(self) -> None:
        """Compile what a layer does: once for all layers of a kind and all shapes."""
        self._vision_layer = torch.compile(vision_layer, dynamic=True)
        self._text_layer = torch.compile(text_layer, dynamic=True)

    def tables(self, shape: Shape) -> Tables:
        """The tables of a shape, on the model's device."""
        return make_tables(self.model.config, shape, len(self.head_ids), self.model.device)

    def look(self, patches: Tensor, shape: Shape, tables: Tables) -> Tensor:
        """uint8 patches [B, P, 588] to visual tokens [B, cells, hidden]."""
        vision = self.model.model.visual.vision_model
        embeddings = vision.embeddings
        pixels = patches.to(torch.float32) * (2 / 255) - 1  # mean and deviation are 0.5 for every channel
        weight = embeddings.patch_embedding.weight
        hidden = F.linear(pixels, weight.flatten(1), embeddings.patch_embedding.bias)
        hidden = hidden + tables.interpolation @ embeddings.position_embedding.weight
        for layer in vision.encoder.layers:
            hidden = self._vision_layer(layer, hidden, tables.vision_cos, tables.vision_sin)
        hidden = vision.post_layernorm(hidden)
        projector = self.model.model.projector
        hidden = projector.pre_norm(hidden)
        merged = hidden.unflatten(1, (shape.rows, 2, shape.columns, 2)).transpose(2, 3).flatten(3).flatten(1, 2)
        features: Tensor = projector.linear_2(projector.act(projector.linear_1(merged.flatten(2))))
        return features

    def read(self, features: Tensor, tails: Tensor, tables: Tables) -> Tensor:
        """Visual tokens [B, cells, hidden] and the tokens after them [B, T] to logits [B, T, vocabulary]."""
        text = self.model.model.language_model
        head = text.embed_tokens(self.head_ids).expand(len(tails), -1, -1)
        hidden = torch.cat((head, features.to(head.dtype), text.embed_tokens(tails)), dim=1)
        length = hidden.shape[1]
        cos, sin = tables.text_cos[:length], tables.text_sin[:length]
        for layer in text.layers:
            hidden = self._text_layer(layer, hidden, cos, sin)
        hidden = rms_norm(text.norm, hidden[:, -tails.shape[1] :])
        logits: Tensor = self.model.lm_head(hidden)
        return logits

    def forward(
        self, patches: Tensor, tails: Tensor, labels: Tensor, cells: Tensor, shape: Shape, tables: Tables
    ) -> Tensor:
        """Float32 [4]: next-token loss, auxiliary loss, share of tokens and of cells' characters that are right.

        `patches` uint8 [B, P, 588]; `tails` int64 [B, T], the tokens after the image, padded; `labels` [B, T], the
        token that follows each one, or `IGNORED`; `cells` [B, cells, *slots], the classes of `CellHead`, negative where
        unknown. Slots count up to the first empty one.
        """
        features = self.look(patches, shape, tables)
        logits = self.read(features, tails, tables).float()
        labels = labels.long()
        text_loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        cell_logits = self.cell_head(features).float()
        cells = cells.long()
        counted = (torch.cat((torch.ones_like(cells[..., :1]), cells[..., :-1]), dim=-1) > 0) & (cells >= 0)
        cell_losses = F.cross_entropy(cell_logits.flatten(0, -2), cells.flatten().clamp(min=0), reduction="none")
        cell_loss = (cell_losses * counted.flatten()).sum() / counted.sum().clamp(min=1)
        with torch.no_grad():
            known, filled = labels != IGNORED, cells > 0
            text_right = ((logits.argmax(-1) == labels) & known).sum() / known.sum()
            cells_right = ((cell_logits.argmax(-1) == cells) & filled).sum() / filled.sum().clamp(min=1)
        return torch.stack((text_loss, cell_loss, text_right, cells_right))

    @torch.no_grad()
    def generate(self, patches: Tensor, prompt: Tensor, shape: Shape, tables: Tables, end: int, most: int) -> Tensor:
        """Greedy answers [B, up to `most`] to one prompt [T'] after the image."""
        features = self.look(patches, shape, tables)
        tails = prompt.expand(len(patches), -1)
        done = torch.zeros(len(patches), dtype=torch.bool, device=patches.device)
        for _ in range(most):
            chosen = self.read(features, tails, tables)[:, -1].argmax(-1)
            tails = torch.cat((tails, chosen[:, None]), dim=1)
            done |= chosen == end
            if bool(done.all()):
                break
        return tails[:, len(prompt) :]
