"""`ocrvl.adapters.check`: what vLLM would take and serve as garbage is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ocrvl.adapters.check import Adapter, check_adapter
from ocrvl.adapters.folder import CONFIG_FILE, PADDLE_CONFIG_FILE, WEIGHTS_FILE, AdapterError, weight_shapes
from ocrvl.adapters.names import canonical, check_name, is_adaptable
from ocrvl.checkpoint import nano_path
from tests.support.adapters import as_checkpoint, as_transformers, in_language_model, random_tensors, write_adapter

SHAPES = weight_shapes(nano_path())
QUERY = "base_model.model.model.layers.0.self_attn.q_proj"


def check(folder: Path, **limits: Any) -> Adapter:
    return check_adapter(folder, SHAPES, **limits)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter", random_tensors(1, 4, 1.0, in_language_model))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    change(tensors)
    save_file(tensors, folder / WEIGHTS_FILE)


def change_config(folder: Path, **values: Any) -> None:
    path = folder / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


@pytest.mark.parametrize("spelling", [as_checkpoint, as_transformers])
def test_an_adapter_that_fits_is_taken_in_both_spellings(tmp_path: Path, spelling: Callable[[str], str]) -> None:
    checked = check(write_adapter(tmp_path, random_tensors(1, 4, 1.0), spelling))
    assert checked.rank == 4
    assert checked.changes_encoder
    assert checked.modules == {module for module in SHAPES if is_adaptable(module)}


def test_an_adapter_of_the_language_model_leaves_the_encoder_alone(adapter: Path) -> None:
    assert not check(adapter).changes_encoder


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda it: it.update({f"{QUERY}.lora_A.weight": torch.zeros(4, 255)}), "shape [4, 255], expected [4, 256]"),
        (lambda it: it.update({f"{QUERY}.lora_B.weight": torch.zeros(256, 8)}), "shape [256, 8], expected [256, 4]"),
        (lambda it: it.pop(f"{QUERY}.lora_B.weight"), "it has lora_A alone"),
        (lambda it: it.update({"base_model.model.lm_head.lora_A.weight": torch.zeros(4, 256)}), "lm_head: "),
        (
            lambda it: it.update({"base_model.model.model.norm.lora_A.weight": torch.zeros(4, 256)}),
            "model.norm: unsupported module",
        ),
        (
            lambda it: it.update({"base_model.model.model.layers.9.mlp.up_proj.lora_A.weight": torch.zeros(4, 256)}),
            "it matches no module of the checkpoint",
        ),
        (lambda it: it.update({"model.layers.0.mlp.up_proj.lora_A": torch.zeros(4, 256)}), "expected a key that ends"),
        (lambda it: it.update({f"{QUERY}.lora_A.weight": torch.zeros(4, 256, dtype=torch.int8)}), "dtype I8"),
        (lambda it: it.update({f"{QUERY}.lora_A.weight": torch.full((4, 256), float("nan"))}), "finite numbers"),
        (lambda it: it.clear(), "it has no tensors"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(
    adapter: Path, change: Callable[[dict[str, torch.Tensor]], object], problem: str
) -> None:
    change_tensors(adapter, change)
    with pytest.raises(AdapterError) as refused:
        check(adapter)
    assert problem in str(refused.value)
    assert str(adapter / WEIGHTS_FILE) in str(refused.value)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"r": 8}, "shape [4, 256], expected [8, 256]"),
        ({"r": 0}, "r: "),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save: lm_head"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"peft_type": "IA3"}, "expected LORA, found IA3"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
    ],
)
def test_descriptions_that_cannot_be_served_are_refused(adapter: Path, config: dict[str, Any], problem: str) -> None:
    change_config(adapter, **config)
    with pytest.raises(AdapterError) as refused:
        check(adapter)
    assert problem in str(refused.value)


def test_a_rank_beyond_the_engine_is_refused(adapter: Path) -> None:
    with pytest.raises(AdapterError, match=r"rank 4, the engine takes 2 at most \(max_lora_rank\)"):
        check(adapter, max_rank=2)


def test_ranks_of_single_modules_count(adapter: Path) -> None:
    change_config(adapter, r=8, lora_alpha=8, rank_pattern={r"(self_attn|mlp)\.\w+": 4})
    assert check(adapter, max_rank=8).rank == 4


def test_what_is_missing_or_no_adapter_is_named(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="nowhere: no such folder"):
        check(tmp_path / "nowhere")
    (adapter / WEIGHTS_FILE).write_bytes(b"a pickle")
    with pytest.raises(AdapterError, match="not safetensors"):
        check(adapter)
    (adapter / WEIGHTS_FILE).unlink()
    with pytest.raises(AdapterError, match=r"adapter_model\.safetensors: no such file"):
        check(adapter)
    (adapter / CONFIG_FILE).write_text("{", "utf-8")
    with pytest.raises(AdapterError, match="not JSON"):
        check(adapter)
    (adapter / CONFIG_FILE).unlink()
    (adapter / PADDLE_CONFIG_FILE).write_text("{}", "utf-8")
    with pytest.raises(AdapterError, match="PaddleFormers wrote this adapter"):
        check(adapter)


def test_of_many_problems_some_are_told(adapter: Path) -> None:
    change_tensors(adapter, lambda it: it.update({key: value[:, :1].contiguous() for key, value in it.items()}))
    with pytest.raises(AdapterError) as refused:
        check(adapter)
    assert len(str(refused.value).splitlines()) == 9
    assert str(refused.value).endswith(" more")


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "a b", "x" * 65])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name"):
        check_name(name)


@pytest.mark.parametrize("module", [module for module in SHAPES if is_adaptable(module)][::9])
def test_every_spelling_leads_to_the_checkpoints_own(module: str) -> None:
    assert canonical(as_transformers(module)) == canonical(as_checkpoint(module)) == module
