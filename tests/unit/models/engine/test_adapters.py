"""Adapters of an engine: what it is started with, and what becomes of those that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ocrvl.engine_settings import EngineSettings
from ocrvl.errors import InvalidArgument
from ocrvl.models.engine.vllm_engine.adapters import LoadedAdapters, adapter_arguments
from ocrvl.options import Options, check_adapters
from ocrvl.wire import Task
from tests.support.adapters import in_language_model, random_tensors, write_adapter


def settings(folder: Path, adapters: dict[str, str], **more: Any) -> EngineSettings:
    path = folder / "model.json"
    path.write_text(json.dumps({"model": "nano", "adapters": adapters, **more}), "utf-8")
    return EngineSettings.from_file(path)


def test_an_engine_without_adapters_is_started_as_ever(tmp_path: Path) -> None:
    assert adapter_arguments(settings(tmp_path, {})) == {}


def test_an_engine_has_place_for_all_of_them(tmp_path: Path) -> None:
    write_adapter(tmp_path / "text", random_tensors(1, 4, 1.0, in_language_model))
    write_adapter(tmp_path / "all", random_tensors(1, 12, 1.0))
    expected = {"enable_lora": True, "max_loras": 1, "max_cpu_loras": 1, "max_lora_rank": 8}
    arguments = adapter_arguments(settings(tmp_path, {"text": "text"}))
    assert arguments == {**expected, "enable_tower_connector_lora": False}
    both = adapter_arguments(settings(tmp_path, {"text": "text", "all": "all"}))
    assert both == {
        "enable_lora": True,
        "max_loras": 2,
        "max_cpu_loras": 2,
        "max_lora_rank": 16,
        "enable_tower_connector_lora": True,
    }


def test_what_does_not_fit_is_told_by_the_adapters_names(tmp_path: Path) -> None:
    write_adapter(tmp_path / "large", random_tensors(1, 16, 1.0, in_language_model))
    with pytest.raises(
        ValueError, match=r"(?s)adapters\.large: .*rank 16, the engine takes 8.*adapters\.gone: .*no such"
    ):
        adapter_arguments(settings(tmp_path, {"large": "large", "gone": "gone"}, max_lora_rank=8))


def test_quantized_weights_take_no_adapters(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected weights that are not quantized"):
        adapter_arguments(settings(tmp_path, {"a": "a"}, quantization="awq"))


def test_a_request_gets_the_adapter_of_its_task() -> None:
    loaded = LoadedAdapters({"forms": "it"})
    by_task = Options.model_validate_json('{"adapter": {"table": "forms"}}')
    assert loaded.find(by_task, Task.TABLE) == "it"
    assert loaded.find(by_task, Task.OCR) is None
    assert loaded.find(Options(adapter="forms"), Task.OCR) == "it"
    assert loaded.find(Options(), Task.OCR) is None


@pytest.mark.parametrize("choice", ["menus", {Task.TABLE: "menus"}])
def test_an_adapter_that_is_not_served_is_refused_with_those_that_are(choice: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"adapter: unknown 'menus' \(served: fonts, forms\)"):
        check_adapters(choice, ["fonts", "forms"])
    with pytest.raises(InvalidArgument, match=r"\(served: none\)"):
        check_adapters(choice, [])
