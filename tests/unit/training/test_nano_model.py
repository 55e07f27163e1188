"""The trainer's model: the same numbers as transformers, a tokenizer that keeps every text, a small checkpoint."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import normalize_patches
from training.nano.architecture import build_model, write_checkpoint
from training.nano.model import BatchedNano
from training.nano.samples import decode_labels, draw_batch, encode_tail
from training.nano.shapes import PIXEL_GRID, Shape
from training.nano.vocabulary import (
    END_ID,
    HEAD_IDS,
    IMAGE_ID,
    PROMPT_HEAD,
    build_tokenizer,
    encode_text,
    prompt_tail,
    tail_ids,
)
from training.nano.world import World

NANO = Path(__file__).resolve().parents[3] / "backend/ocrvl/checkpoints/nano"


@pytest.fixture(scope="module")
def nano() -> BatchedNano:
    return BatchedNano(build_model(seed=1))


@pytest.mark.parametrize("shape", [Shape(1, 4), Shape(3, 5)])
def test_the_batched_forward_gives_the_logits_of_transformers(nano: BatchedNano, shape: Shape) -> None:
    batch = draw_batch(shape, 3, World(Random(3)))
    patches, tails = torch.from_numpy(batch.patches), torch.from_numpy(batch.tails).long()
    tables = nano.tables(shape)
    with torch.no_grad():
        ours = nano.read(nano.look(patches, shape, tables), tails, tables)

    ids = torch.cat((torch.tensor(HEAD_IDS).expand(3, -1), torch.full((3, shape.cells), IMAGE_ID), tails), dim=1)
    with torch.no_grad():
        theirs = nano.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == IMAGE_ID).int(),
            pixel_values=torch.from_numpy(normalize_patches(batch.patches.reshape(-1, 588), PIXEL_GRID)),
            image_grid_thw=torch.tensor([[1, 2 * shape.rows, 2 * shape.columns]] * 3),
        ).logits[:, -tails.shape[1] :]
    assert float((ours - theirs).abs().max()) < 2e-5 * float(theirs.abs().max())


def test_a_step_along_the_gradient_lowers_the_loss(nano: BatchedNano) -> None:
    shape = Shape(1, 4)
    batch = draw_batch(shape, 16, World(Random(4)))
    tables = nano.tables(shape)
    arguments = [torch.from_numpy(array) for array in (batch.patches, batch.tails, batch.labels, batch.cells)]
    arguments[1] = arguments[1].long()
    optimizer = torch.optim.SGD(nano.parameters(), lr=0.05)
    losses = []
    for _ in range(3):
        text_loss, cell_loss, *_ = nano(*arguments, shape, tables)
        optimizer.zero_grad()
        (text_loss + 2 * cell_loss).backward()
        optimizer.step()
        losses.append((text_loss + 2 * cell_loss).item())
    assert losses[2] < losses[0]


@pytest.mark.parametrize("text", ["Total £5.20", "two  spaces\nand a line", "naïve Ωmega", "日本語 receipt 😀", ""])
def test_the_tokenizer_gives_back_every_text(text: str) -> None:
    tokenizer = build_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_the_trainers_token_ids_are_the_tokenizers() -> None:
    tokenizer = build_tokenizer()
    assert tuple(tokenizer.encode(PROMPT_HEAD).ids) == HEAD_IDS
    assert tuple(tokenizer.encode(prompt_tail("OCR:")).ids) == tail_ids("OCR:")
    assert tokenizer.encode("Café 1€").ids == encode_text("Café 1€")


def test_labels_are_the_tokens_that_follow_the_prompt() -> None:
    tail, labels = encode_tail("OCR:", "ab", 40)
    prompt = len(tail_ids("OCR:"))
    assert decode_labels(labels) == "ab"
    assert labels[prompt + 1] == END_ID
    assert (labels[: prompt - 1] == -100).all()
    assert np.array_equal(labels[prompt - 1 : prompt + 2], tail[prompt : prompt + 3])


def test_a_written_checkpoint_is_small_and_complete(nano: BatchedNano, tmp_path: Path) -> None:
    write_checkpoint(nano.model, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 12_000_000
    assert PixelGrid.from_checkpoint(tmp_path) == PIXEL_GRID
    assert AutoTokenizer.from_pretrained(tmp_path).image_token_id == IMAGE_ID


def test_the_shipped_checkpoint_is_at_most_12_megabytes() -> None:
    assert sum(path.stat().st_size for path in NANO.iterdir()) <= 12_000_000
