"""A batched forward pass over transformers' own PaddleOCR-VL modules, for images of one grid.

transformers' vision attention, projector and position ids loop over the images of a batch. Where all images share
a grid they need not: `tables` are made once for a grid, and the numbers stay those of transformers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn
from transformers import PaddleOCRVLForConditionalGeneration

from training.nano.layers import rms_norm, text_layer, vision_layer
from training.nano.samples import IGNORED, SLOTS
from training.nano.shapes import Shape
from training.nano.tables import Tables, make_tables
from training.nano.vocabulary import CHARACTERS, HEAD_IDS

CLASSES = len(CHARACTERS) + 1
"""What the auxiliary head tells apart: no further character, or which one."""


class CellHead(nn.Module):
    """The throw-away head: six softmaxes over the characters whose centres fall in a visual token's cell."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.out = nn.Linear(hidden_size, SLOTS * CLASSES)

    def forward(self, features: Tensor) -> Tensor:
        """Projected features [..., hidden] to logits [..., SLOTS, CLASSES]."""
        logits: Tensor = self.out(self.norm(features))
        return logits.unflatten(-1, (SLOTS, CLASSES))


class BatchedNano(nn.Module):
    """The model of transformers, run on batches of one grid; owns no weights but the auxiliary head's."""

    def __init__(self, model: PaddleOCRVLForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.cell_head = CellHead(model.config.text_config.hidden_size)
        self.head_ids = nn.Buffer(torch.tensor(HEAD_IDS), persistent=False)
        self._vision_layer = vision_layer
        self._text_layer = text_layer

    def compile_layers(self) -> None:
        """Compile what a layer does: once for all layers of a kind and all shapes."""
        self._vision_layer = torch.compile(vision_layer, dynamic=True)
        self._text_layer = torch.compile(text_layer, dynamic=True)

    def tables(self, shape: Shape) -> Tables:
        """The tables of a shape, on the model's device."""
        return make_tables(self.model.config, shape, self.model.device)

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

        Arguments as in `samples.Batch`. A cell's slots count up to the first empty one.
        """
        features = self.look(patches, shape, tables)
        logits = self.read(features, tails, tables).float()
        labels = labels.long()
        text_loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        cell_logits = self.cell_head(features).float()
        cells = cells.long()
        counted = torch.cat((torch.ones_like(cells[..., :1]), cells[..., :-1]), dim=-1) > 0
        cell_losses = F.cross_entropy(cell_logits.flatten(0, 2), cells.flatten(), reduction="none")
        cell_loss = (cell_losses * counted.flatten()).sum() / counted.sum()
        with torch.no_grad():
            known, filled = labels != IGNORED, cells > 0
            text_right = ((logits.argmax(-1) == labels) & known).sum() / known.sum()
            cells_right = ((cell_logits.argmax(-1) == cells) & filled).sum() / filled.sum().clamp(min=1)
        return torch.stack((text_loss, cell_loss, text_right, cells_right))

    @torch.no_grad()
    def generate(self, patches: Tensor, prompt: Tensor, shape: Shape, tables: Tables, end: int) -> Tensor:
        """Greedy answers [B, up to the shape's capacity + 1] to one prompt [T'] after the image."""
        features = self.look(patches, shape, tables)
        tails = prompt.expand(len(patches), -1)
        done = torch.zeros(len(patches), dtype=torch.bool, device=patches.device)
        for _ in range(shape.capacity + 1):
            chosen = self.read(features, tails, tables)[:, -1].argmax(-1)
            tails = torch.cat((tails, chosen[:, None]), dim=1)
            done |= chosen == end
            if bool(done.all()):
                break
        return tails[:, len(prompt) :]
