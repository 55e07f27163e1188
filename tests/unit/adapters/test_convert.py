"""`ocrvl.adapters.convert`: what other trainers wrote, in peft's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ocrvl.adapters.convert import convert_adapter
from ocrvl.adapters.folder import CONFIG_FILE, PADDLE_CONFIG_FILE, WEIGHTS_FILE, AdapterError
from ocrvl.adapters.merge import read_changes
from ocrvl.checkpoint import nano_path
from tests.support.adapters import as_transformers, in_language_model, random_tensors, write_adapter


def test_names_of_transformers_become_the_checkpoints(tmp_path: Path) -> None:
    tensors = random_tensors(1, 4, 1.0)
    source = write_adapter(tmp_path / "source", tensors, as_transformers, lora_alpha=8)
    converted = convert_adapter(source, nano_path(), tmp_path / "converted")
    assert converted.modules == set(tensors)
    before, after = read_changes(source), read_changes(tmp_path / "converted")
    assert all(torch.equal(before[module], after[module]) for module in tensors)


def test_paddleformers_matrices_are_turned(tmp_path: Path) -> None:
    tensors = random_tensors(1, 4, 1.0, in_language_model)
    source = tmp_path / "source"
    source.mkdir()
    (source / PADDLE_CONFIG_FILE).write_text('{"r": 4, "lora_alpha": 8, "rslora": true}', "utf-8")
    names = sorted(tensors)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        flat = {f"{name}.{key}": value.t().contiguous() for name in part for key, value in tensors[name].items()}
        save_file(flat, source / f"peft_model-0000{number}-of-00002.safetensors")
    assert convert_adapter(source, nano_path(), tmp_path / "converted").modules == set(tensors)
    changes = read_changes(tmp_path / "converted")
    for name, pair in tensors.items():
        assert torch.allclose(changes[name], 4 * pair["lora_B"] @ pair["lora_A"])
    config = json.loads((tmp_path / "converted" / CONFIG_FILE).read_text("utf-8"))
    assert config["target_modules"] == sorted({name.rpartition(".")[2] for name in names})


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    source = write_adapter(tmp_path / "source", random_tensors(1, 4, 1.0, in_language_model))
    tensors = load_file(source / WEIGHTS_FILE)
    save_file({f"other.{key}": value for key, value in tensors.items()}, source / WEIGHTS_FILE)
    with pytest.raises(AdapterError, match="it matches no module"):
        convert_adapter(source, nano_path(), tmp_path / "converted")
    assert not (tmp_path / "converted").exists()
    with pytest.raises(AdapterError, match="it exists already"):
        convert_adapter(source, nano_path(), source)


def test_a_paddleformers_folder_without_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / PADDLE_CONFIG_FILE).write_text('{"r": 4, "lora_alpha": 8}', "utf-8")
    with pytest.raises(AdapterError, match="no peft_model"):
        convert_adapter(tmp_path, nano_path(), tmp_path / "converted")
    (tmp_path / PADDLE_CONFIG_FILE).write_text('{"r": 0}', "utf-8")
    with pytest.raises(AdapterError, match="lora_alpha"):
        convert_adapter(tmp_path, nano_path(), tmp_path / "converted")
