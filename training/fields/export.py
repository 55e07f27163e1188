"""A token classifier of LayoutLMv3's to the files that `fields` loads."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoTokenizer, LayoutLMv3ForTokenClassification

from ocrvl.models.fields.checkpoint import CONFIG_FILE, MODEL_FILE, TOKENIZER_FILE
from training.fields.architecture import build_model

_OPSET: Final = 18


class _Logits(torch.nn.Module):
    """The model with its inputs in the order of the file's."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, bbox: Any, attention_mask: Any, pixel_values: Any) -> Any:
        """Logits, [B, T, labels]."""
        return self.model(
            input_ids=input_ids, bbox=bbox, attention_mask=attention_mask, pixel_values=pixel_values
        ).logits


def export_state(state: Path, folder: Path) -> None:
    """Write what training has kept in `state` as a checkpoint."""
    model = build_model(0)
    weights = torch.load(state / "state.pt", map_location="cpu", weights_only=True)["model"]
    model.load_state_dict(weights)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(state / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    _write(model, folder)


def export_checkpoint(name: str, folder: Path) -> None:
    """Write a checkpoint of transformers, a folder or a hub id, with the tokenizer that belongs to it."""
    model = LayoutLMv3ForTokenClassification.from_pretrained(name)
    folder.mkdir(parents=True, exist_ok=True)
    AutoTokenizer.from_pretrained(name).backend_tokenizer.save(str(folder / TOKENIZER_FILE))
    _write(model, folder)


def export_onnx(model: Any, path: Path) -> None:
    """The model as one file, for any number of receipts and of words.

    By torch's newer exporter: the older one changes the logits of this class, without an error.
    """
    batch, length = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("length", min=2, max=4096)
    shapes = {0: batch, 1: length}
    # torch prints as it goes
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            _Logits(model).eval(),
            example_inputs(model.config, 2, 7),
            str(path),
            dynamo=True,
            external_data=False,
            opset_version=_OPSET,
            input_names=["input_ids", "bbox", "attention_mask", "pixel_values"],
            output_names=["logits"],
            dynamic_shapes=(shapes, shapes, shapes, {0: batch}),
            verbose=False,
        )


def example_inputs(config: Any, batch: int, length: int) -> tuple[torch.Tensor, ...]:
    """Random inputs, the last half of the last row's tokens padded."""
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(3, config.vocab_size, (batch, length), generator=generator)
    corners = torch.randint(0, 1001, (batch, length, 2, 2), generator=generator).sort(dim=2).values
    mask = torch.ones_like(ids)
    mask[-1, length - length // 2 :] = 0
    ids[mask == 0] = config.pad_token_id
    side = config.input_size
    pixels = torch.rand((batch, 3, side, side), generator=generator) * 2 - 1
    return ids, corners.reshape(batch, length, 4), mask, pixels


def _write(model: Any, folder: Path) -> None:
    model.config.architectures = [LayoutLMv3ForTokenClassification.__name__]
    model.config.to_json_file(folder / CONFIG_FILE, use_diff=True)
    export_onnx(model, folder / MODEL_FILE)
