"""The trainer of `fields`: the logits of transformers, in training and as ONNX; and a training that learns."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import LayoutLMv3ForTokenClassification

from ocrvl.checkpoint import FIELDS, embedded_path
from ocrvl.models.fields.checkpoint import INPUTS, OnnxNetwork, load_classifier
from training.fields.architecture import VOCABULARY, build_config, build_model, train_tokenizer
from training.fields.attention import fuse_attention
from training.fields.export import example_inputs, export_onnx
from training.fields.report import format_table, make_figures, write_card
from training.fields.samples import draw_sample
from training.fields.score import reader, score, score_given
from training.fields.trainer import BandLoss, Plan, Trainer, collate
from training.fields.world import ReceiptWorld
from training.nano.phrases import BUILT_IN_WORDS
from training.nano.texts import Split


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return Tokenizer.from_file(str(embedded_path(FIELDS) / "tokenizer.json"))


def run(model: Any, inputs: tuple[Any, ...]) -> Any:
    with torch.no_grad():
        return model(**dict(zip(INPUTS, inputs, strict=True))).logits


@pytest.mark.parametrize(("batch", "length"), [(1, 9), (3, 40)])
def test_the_fused_attention_gives_the_logits_of_transformers(batch: int, length: int) -> None:
    model = build_model(1).eval()
    for bias in ("rel_pos_bias", "rel_pos_x_bias", "rel_pos_y_bias"):
        torch.nn.init.normal_(getattr(model.layoutlmv3.encoder, bias).weight, std=2.0)
    inputs = example_inputs(model.config, batch, length)
    theirs = run(model, inputs)
    fuse_attention(model)
    assert float((run(model, inputs) - theirs)[inputs[2] == 1].abs().max()) < 1e-5


def test_the_onnx_file_gives_the_logits_of_torch_for_any_number_of_receipts_and_words(tmp_path: Path) -> None:
    config = build_config()
    config.num_hidden_layers = 1  # each one more takes seconds, and is the same
    torch.manual_seed(2)
    model = LayoutLMv3ForTokenClassification(config).eval()
    # far from its small first weights, where a difference would show
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    export_onnx(model, tmp_path / "model.onnx")
    network = OnnxNetwork(tmp_path / "model.onnx", 1)
    assert network.inputs == INPUTS
    for batch, length in ((1, 2), (1, 64), (2, 37), (8, 512)):
        inputs = example_inputs(model.config, batch, length)
        found = network({name: tensor.numpy() for name, tensor in zip(INPUTS, inputs, strict=True)})
        difference = np.abs(found - run(model, inputs).numpy())[inputs[2].numpy() == 1]
        assert difference.max() < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_few_steps_lower_the_loss_and_a_saved_training_goes_on_where_it_was(tokenizer: Any, tmp_path: Path) -> None:
    rng = Random(0)
    world = ReceiptWorld(rng, BUILT_IN_WORDS, Split.TRAINING)
    samples = [draw_sample(rng, world.receipt(), tokenizer) for _ in range(4)]
    plan = Plan(0, "cpu", 40, 40, 1e-3, 4, 1, 1, Path("words"))
    trainer = Trainer(plan)
    losses = []
    for _ in range(8):
        trainer.step(samples)
        losses.append(float(trainer.report().rpartition(" ")[2]))
    assert losses[-1] < losses[0] - 0.1
    trainer.save(tmp_path)
    resumed = Trainer(plan)
    resumed.load(tmp_path)
    assert resumed.steps == 8
    trainer.step(samples)
    resumed.step(samples)
    assert trainer.report() == resumed.report()


def test_a_blank_image_is_not_asked_for_its_bands() -> None:
    model = build_model(3)
    fuse_attention(model)
    bands = BandLoss(model)
    inputs = dict(zip(INPUTS, example_inputs(model.config, 2, 5), strict=True))
    model(**inputs)
    asked = torch.tensor([[1, 0, 1, 0, 0], [-100] * 5])
    assert bands(asked).item() > 0
    model(**inputs)
    assert bands(torch.full((2, 5), -100)).item() == 0


def test_a_batch_is_padded_to_its_longest_window(tokenizer: Any) -> None:
    rng = Random(1)
    world = ReceiptWorld(rng, BUILT_IN_WORDS, Split.TRAINING)
    samples = [draw_sample(rng, world.receipt(), tokenizer) for _ in range(3)]
    batch = collate(samples)
    lengths = [len(sample.ids) for sample in samples]
    assert batch["attention_mask"].sum(1).tolist() == lengths
    assert batch["input_ids"].shape == (3, max(lengths))
    for name in ("labels", "on_band"):
        assert ((batch[name] == -100) >= (batch["attention_mask"] == 0)).all()


def test_the_vocabulary_has_every_byte_and_words_of_receipts() -> None:
    trained = train_tokenizer(["Total", "12.50", "Tea"] for _ in range(50))
    assert trained.get_vocab_size() <= VOCABULARY
    assert trained.encode(["Total"], is_pretokenized=True).tokens == ["ĠTotal"]
    assert "<unk>" not in trained.encode(["日本", "\x00"], is_pretokenized=True).tokens


def test_the_embedded_checkpoint_sees_on_the_image_which_of_two_names_is_the_shops() -> None:
    world = ReceiptWorld(Random(5), BUILT_IN_WORDS, Split.TRAINING)
    drawn = [world.receipt() for _ in range(60)]
    classifier = load_classifier(embedded_path(FIELDS), 1)
    seeing, blind = (score("", drawn, reader(classifier, with_pixels=is_seen)) for is_seen in (True, False))
    assert seeing.f1() > 0.98
    assert seeing.f1("company") > blind.f1("company") + 0.05


def test_the_embedded_checkpoint_finds_most_fields_and_its_score_is_written(tmp_path: Path) -> None:
    world = ReceiptWorld(Random(4), BUILT_IN_WORDS, Split.TRAINING)
    scores = score_given(load_classifier(embedded_path(FIELDS), 1), [world.receipt() for _ in range(12)], 0)
    assert all(one.f1() > 0.95 for one in scores)
    assert all(one.outside == 0 for one in scores)
    figures = make_figures(scores)
    assert figures.number("entity_f1", words="true boxes") == pytest.approx(scores[0].f1(), rel=1e-3)
    card = tmp_path / "README.md"
    card.write_text("# Card\n", "utf-8")
    with pytest.raises(ValueError, match="no lines"):
        write_card(card, scores)
    shipped = (embedded_path(FIELDS) / "README.md").read_text("utf-8")
    card.write_text(shipped, "utf-8")
    write_card(card, scores)
    assert format_table(scores) in card.read_text("utf-8")
