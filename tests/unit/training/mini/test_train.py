"""Training: the numbers of transformers, a loss that falls, a state that resumes, a checkpoint within its size."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoTokenizer

from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import normalize_patches
from training.common.batches import Batch
from training.common.model import BatchedReader
from training.common.trainer import Plan
from training.mini.architecture import build_config, build_reader, write_checkpoint
from training.mini.samples import SLOTS, MiniDrawer, decode_labels
from training.mini.shapes import PIXEL_GRID, SHAPES, Shape, pick_shape
from training.mini.state import MOST_BYTES, load_clock, load_weights, save_state
from training.mini.train import MiniTrainer, train
from training.mini.vocabulary import IMAGE_ID, head_ids
from training.mini.world.draw import Matter

TINY = build_config(hidden=128, layers=(1, 1))


def plan(until: float = 1e9) -> Plan:
    """A part of a long training: its beginning, with lines alone."""
    return Plan(0, "cpu", 1000, until, 4e-3, 400, 1, 3, report_seconds=1, score_seconds=1e9)


def drawn(matter: Matter, shape: Shape, count: int) -> Batch:
    batch = Batch.empty(shape, count, SLOTS)
    MiniDrawer(matter, "1").fill(batch, shape, 0.1)
    return batch


def test_the_batched_forward_gives_the_logits_of_transformers(matter: Matter) -> None:
    shape, reader = Shape(2, 5), build_reader(1, TINY)
    batch = drawn(matter, shape, 2)
    tails = torch.from_numpy(batch.tails).long()
    tables = reader.tables(shape)
    ids = torch.cat((torch.tensor(head_ids()).expand(2, -1), torch.full((2, shape.cells), IMAGE_ID), tails), dim=1)
    with torch.no_grad():
        ours = reader.read(reader.look(torch.from_numpy(batch.patches), shape, tables), tails, tables)
        theirs = reader.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == IMAGE_ID).int(),
            pixel_values=torch.from_numpy(normalize_patches(batch.patches.reshape(-1, 588), PIXEL_GRID)),
            image_grid_thw=torch.tensor([[1, 4, 10]] * 2),
        ).logits[:, -tails.shape[1] :]
    assert float((ours - theirs).abs().max()) < 2e-5 * float(theirs.abs().max())


def test_some_steps_on_a_batch_lower_its_loss(matter: Matter) -> None:
    shape = Shape(1, 4)
    batch, trainer = drawn(matter, shape, 4), MiniTrainer(plan(), TINY)
    trainer.elapsed = 20.0
    losses = []
    for _ in range(5):
        trainer.step(batch, shape)
        losses.append(float(trainer.metrics[0, 0] + 2 * trainer.metrics[0, 1]))
        trainer.metrics.zero_()
    assert losses[-1] < 0.95 * losses[0]


def test_unknown_characters_cost_nothing(matter: Matter) -> None:
    shape, reader = Shape(1, 4), build_reader(1, TINY)
    batch = drawn(matter, shape, 2)
    batch.cells[:] = -1
    arrays = [torch.from_numpy(array) for array in (batch.patches, batch.tails, batch.labels, batch.cells)]
    metrics = reader(arrays[0], arrays[1].long(), arrays[2], arrays[3], shape, reader.tables(shape))
    assert metrics[1] == 0


def test_a_training_is_taken_up_where_it_stopped(
    world_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MiniTrainer, "score", lambda *_: "")  # reading takes long on a CPU
    state, checkpoint = tmp_path / "state", tmp_path / "checkpoint"
    train(plan(until=0.01), world_folder, checkpoint, state, TINY)
    steps, elapsed = load_clock(state)
    assert steps == 1
    train(plan(until=elapsed + 0.01), world_folder, checkpoint, state, TINY)
    assert load_clock(state)[0] == 2
    assert (checkpoint / "model.safetensors").is_file()


def test_shards_are_small_and_keep_the_weights(tmp_path: Path) -> None:
    reader: BatchedReader = build_reader(3, build_config(hidden=384, layers=(2, 2)))
    save_state(tmp_path, reader, 12, 3.5)
    shards = sorted(tmp_path.glob("shard-*"))
    assert len(shards) > 1
    assert all(shard.stat().st_size < MOST_BYTES + 100_000 for shard in shards)
    other = build_reader(4, build_config(hidden=384, layers=(2, 2)))
    load_weights(tmp_path, other)
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, reader.state_dict()[name].bfloat16().float()), name
    assert load_clock(tmp_path) == (12, 3.5)
    shards[0].unlink()
    with pytest.raises(RuntimeError, match="carry every shard"):
        load_weights(tmp_path, other)


def test_the_architecture_is_within_its_size_and_shares_its_heads() -> None:
    with torch.device("meta"):
        parameters = sum(p.numel() for p in build_reader(0).model.parameters())
    assert 12e6 < parameters < 25e6
    config = build_config()
    assert config.text_config.num_attention_heads % 2 == config.vision_config.num_attention_heads % 2 == 0
    assert config.vision_config.hidden_size // config.vision_config.num_attention_heads == 64


def test_a_written_checkpoint_is_complete(tmp_path: Path) -> None:
    write_checkpoint(build_reader(0, TINY).model, tmp_path)
    assert PixelGrid.from_checkpoint(tmp_path) == PIXEL_GRID
    assert AutoTokenizer.from_pretrained(tmp_path).image_token_id == IMAGE_ID


def test_the_curriculum_begins_with_short_lines_and_ends_with_everything() -> None:
    rng = Random(0)
    assert {pick_shape(rng, 0.0).rows for _ in range(50)} == {1}
    assert {pick_shape(rng, 0.5) for _ in range(3000)} == set(SHAPES)


def test_a_batch_asks_for_the_answers(matter: Matter) -> None:
    batch = drawn(matter, Shape(1, 9), 6)
    assert any(decode_labels(row).strip() for row in batch.labels)
