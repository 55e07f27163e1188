"""LayoutLMv3, made small: its configuration, first weights, and vocabulary."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LayoutLMv3Config, LayoutLMv3ForTokenClassification

from ocrvl.models.fields.encoding import SCALE, SpecialTokens
from ocrvl.models.fields.labels import Label

VOCABULARY: Final = 1500
SPECIAL: Final = SpecialTokens(begin=0, end=2, pad=1)
_SPECIAL_WORDS: Final = ["<s>", "<pad>", "</s>", "<unk>"]
MAX_TOKENS: Final = 512
SIDE: Final = 160
"""Pixels of the image that the model sees, in each direction: a row of text is some five of them high."""


def build_config() -> LayoutLMv3Config:
    """The architecture of the embedded checkpoint: 1.3 million parameters."""
    labels = dict(enumerate(label.value for label in Label))
    return LayoutLMv3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        # positions begin behind the padding's
        max_position_embeddings=MAX_TOKENS + 2,
        coordinate_size=20,
        shape_size=24,
        input_size=SIDE,
        patch_size=16,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )


def build_model(seed: int) -> LayoutLMv3ForTokenClassification:
    """The model with its first weights."""
    torch.manual_seed(seed)
    model = LayoutLMv3ForTokenClassification(build_config())
    with torch.no_grad():
        _begin_smoothly(model.layoutlmv3.embeddings)
        _begin_with_rows(model.layoutlmv3.encoder)
        _begin_in_place(model.layoutlmv3)
        _begin_with_bands(model.layoutlmv3.patch_embed.proj)
    return model


def _begin_smoothly(embeddings: Any) -> None:
    """Coordinates as waves, so that neighbours begin alike: a seldom one knows what they know."""
    tables = (
        embeddings.x_position_embeddings,
        embeddings.y_position_embeddings,
        embeddings.w_position_embeddings,
        embeddings.h_position_embeddings,
    )
    for table in tables:
        count, size = table.weight.shape
        places = torch.arange(count, dtype=torch.float32)[:, None] / SCALE
        rates = 2 * math.pi * torch.logspace(-0.5, 1.7, size // 2)[None, :]
        table.weight.copy_(0.1 * torch.cat((torch.sin(places * rates), torch.cos(places * rates)), dim=1))


def _begin_with_rows(encoder: Any) -> None:
    """Biases of attention, one habit a head: its own row, what stands above, what stands below, its neighbours.

    transformers does not train them: what they begin with is what they stay. Columns are heads; biases are divided by
    the square root of a head's size before they are added.
    """
    config = encoder.config
    scale = math.sqrt(config.hidden_size / config.num_attention_heads)
    distances = _bucket_distances(config.rel_2d_pos_bins, config.max_rel_2d_pos)
    rows, near = encoder.rel_pos_y_bias.weight, encoder.rel_pos_bias.weight
    for bias in (rows, near, encoder.rel_pos_x_bias.weight):
        bias.zero_()
    rows[0] = torch.tensor([-scale * min(6.0, abs(distance) / 6) for distance in distances])
    rows[1] = torch.tensor([-scale * (4.0 if distance > -4 else abs(distance) / 60) for distance in distances])
    rows[2] = torch.tensor([-scale * (4.0 if distance < 4 else abs(distance) / 60) for distance in distances])
    steps = _bucket_distances(config.rel_pos_bins, config.max_rel_pos)
    near[3] = torch.tensor([-scale * min(4.0, abs(step) / 4) for step in steps])


def _begin_in_place(model: Any) -> None:
    """Patches know where they are as words do."""
    boxes = model.calculate_visual_bbox("cpu", torch.long, 1)
    model.pos_embed.copy_(model.embeddings.calculate_spatial_position_embeddings(boxes))


def _begin_with_bands(projection: Any) -> None:
    """Patches as waves of light and of two colours, and nothing for white paper.

    Bands and what is printed on them show at once, where random weights show little but that paper is bright.
    """
    outputs, _, side, _ = projection.weight.shape
    places = (torch.arange(side, dtype=torch.float32) + 0.5) / side
    waves = torch.cos(math.pi * torch.arange(side, dtype=torch.float32)[:, None] * places[None, :])
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]]) / 3
    forms = [(down, across, colour) for down in range(8) for across in range(8) for colour in range(3)]
    forms.sort(key=lambda form: (form[0] + 2 * form[1] + form[2], form))
    for output, (down, across, colour) in enumerate(forms[:outputs]):
        pattern = colours[colour][:, None, None] * waves[down][None, :, None] * waves[across][None, None, :]
        projection.weight[output] = pattern / side**2
    projection.bias.copy_(-projection.weight.sum((1, 2, 3)))


def _bucket_distances(buckets: int, largest: int) -> list[float]:
    """What distance each bucket of T5's relative positions stands for: first those up to zero, then those above."""
    half = buckets // 2
    exact = half // 2
    sizes = [
        float(place) if place < exact else exact * (largest / exact) ** ((place - exact) / (half - exact))
        for place in range(half)
    ]
    return [*(-size for size in sizes), *sizes]


def train_tokenizer(texts: Iterable[list[str]]) -> Tokenizer:
    """A vocabulary of byte pairs from words of receipts, each with the space before it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=_SPECIAL_WORDS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f" {' '.join(words)}" for words in texts), trainer)
    return tokenizer
