"""`ocrvl.adapters.merge`: the checkpoint with what an adapter adds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ocrvl.adapters.folder import AdapterError
from ocrvl.adapters.merge import merge_adapter
from ocrvl.checkpoint import nano_path
from tests.support.adapters import as_transformers, in_language_model, random_tensors, write_adapter

WEIGHT = "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(("config", "scaling"), [({}, 1.0), ({"lora_alpha": 8, "use_rslora": True}, 4.0)])
def test_the_product_is_added_to_the_weights_that_it_names_and_to_no_other(
    tmp_path: Path, config: dict[str, object], scaling: float
) -> None:
    tensors = random_tensors(1, 4, 0.5, in_language_model)
    merge_adapter(
        write_adapter(tmp_path / "adapter", tensors, as_transformers, **config), nano_path(), tmp_path / "merged"
    )
    base = load_file(nano_path() / "model.safetensors")
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    change = scaling * (tensors[WEIGHT]["lora_B"] @ tensors[WEIGHT]["lora_A"])
    expected = (base[f"{WEIGHT}.weight"].float() + change).to(torch.bfloat16)
    assert torch.equal(merged[f"{WEIGHT}.weight"], expected)
    assert {key for key in base if not torch.equal(base[key], merged[key])} == {f"{name}.weight" for name in tensors}
    assert {path.name for path in nano_path().iterdir()} == {path.name for path in (tmp_path / "merged").iterdir()}


def test_a_folder_that_exists_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="it exists already"):
        merge_adapter(tmp_path, nano_path(), tmp_path)
