"""What the model's forward pass needs to know of a grid, made once for it: positions, as cosines, sines and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor
from transformers import PaddleOCRVLConfig


class Shape(Protocol):
    """A grid in cells of 28 by 28 pixels, and how batches of it are padded."""

    @property
    def rows(self) -> int:
        """Cells from top to bottom."""

    @property
    def columns(self) -> int:
        """Cells from left to right."""

    @property
    def cells(self) -> int:
        """Visual tokens of an image."""

    @property
    def patches(self) -> int:
        """Patches of an image."""

    @property
    def tail(self) -> int:
        """Tokens after the image: the rest of the prompt, the text, the end."""

    def batch_size(self, batch_tokens: int) -> int:
        """Images in a batch whose patches and tokens together are at most `batch_tokens`."""


@dataclass(frozen=True)
class Tables:
    """What depends on the grid alone.

    `interpolation` float32 [P, table positions]; `vision_cos` and `vision_sin` float32 [P, head dim]; `text_cos` and
    `text_sin` float32 [S, head dim] for the whole sequence: head, cells, tail.
    """

    interpolation: Tensor
    vision_cos: Tensor
    vision_sin: Tensor
    text_cos: Tensor
    text_sin: Tensor


def make_tables(config: PaddleOCRVLConfig, shape: Shape, head: int, device: torch.device) -> Tables:
    """The tables of a shape, on `device`; `head` tokens stand before the image's."""
    vision, text = config.vision_config, config.text_config
    rows, columns = 2 * shape.rows, 2 * shape.columns
    side = vision.image_size // vision.patch_size
    every_position = torch.eye(side * side).reshape(-1, 1, side, side)
    interpolated = F.interpolate(every_position, (rows, columns), mode="bilinear", align_corners=False)
    places = torch.stack((torch.arange(rows).repeat_interleave(columns), torch.arange(columns).repeat(rows)))
    head_dim = vision.hidden_size // vision.num_attention_heads
    row_angles, column_angles = _angles(places, vision.rope_parameters["rope_theta"], head_dim // 2)
    vision_angles = torch.cat((row_angles, column_angles) * 2, dim=-1).to(device)
    axes = _angles(_text_positions(shape, head), text.rope_parameters["rope_theta"], text.head_dim)
    sections = axes.split(text.rope_parameters["mrope_section"], dim=-1)
    chosen = [section[axis] for axis, section in enumerate(sections)]
    text_angles = torch.cat(chosen * 2, dim=-1).to(device)
    return Tables(
        interpolated.flatten(1).T.contiguous().to(device),
        vision_angles.cos(),
        vision_angles.sin(),
        text_angles.cos(),
        text_angles.sin(),
    )


def _text_positions(shape: Shape, before: int) -> Tensor:
    """Time, height and width position of every token of a sequence: int64 [3, S] (`get_rope_index`)."""
    head = torch.arange(before).expand(3, -1)
    rows = torch.arange(shape.rows).repeat_interleave(shape.columns)
    columns = torch.arange(shape.columns).repeat(shape.rows)
    cells = torch.stack((torch.zeros_like(rows), rows, columns)) + before
    start = before + max(shape.rows, shape.columns)
    tail = (start + torch.arange(shape.tail)).expand(3, -1)
    return torch.cat((head, cells, tail), dim=1)


def _angles(positions: Tensor, theta: float, dims: int) -> Tensor:
    """Rotary angles [..., dims / 2] of positions: each times theta to the powers 0, -2/dims, -4/dims..."""
    return positions[..., None].float() / theta ** (torch.arange(0, dims, 2) / dims)
