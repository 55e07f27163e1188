"""`ocrvl.engine_settings` and `ocrvl.checkpoint`: read once, wrong ones refused by name."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ocrvl.checkpoint import nano_path, resolve_checkpoint
from ocrvl.engine_settings import EngineSettings
from ocrvl.imaging.grid import PixelGrid
from ocrvl.launcher.locate import find_model_repository
from ocrvl.models.engine.vllm_engine import check_engine_args


def write(folder: Path, settings: object) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps(settings), "utf-8")
    return path


def test_the_repository_s_own_settings_are_good() -> None:
    settings = EngineSettings.from_file(find_model_repository() / "paddleocr_vl/1/model.json")
    check_engine_args(settings)
    assert settings.checkpoint == nano_path()


def test_our_defaults_yield_to_the_file(tmp_path: Path) -> None:
    settings = EngineSettings.from_file(write(tmp_path, {"model": "nano", "enable_prefix_caching": True}))
    assert settings.engine_args["enable_prefix_caching"] is True
    assert settings.engine_args["mm_processor_cache_gb"] == 0


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("max_num_seqs", "64", 'max_num_seqs: "64": Input should be a valid integer'),
        ("max_num_seqs", 0, "max_num_seqs: 0: Input should be greater than or equal to 1"),
        ("max_num_seqs", None, "max_num_seqs: null: Input should be a valid integer"),
        ("max_num_seqs", True, "max_num_seqs: true: Input should be a valid integer"),
        ("max_model_len", 4096.5, "max_model_len: 4096.5: Input should be a valid integer"),
        ("max_num_batched_tokens", [1], "max_num_batched_tokens: [1]: Input should be a valid integer"),
        ("gpu_memory_utilization", "0.9", 'gpu_memory_utilization: "0.9": Input should be a valid number'),
        ("gpu_memory_utilization", 90, "gpu_memory_utilization: 90: Input should be less than or equal to 1"),
        ("gpu_memory_utilization", 0, "gpu_memory_utilization: 0: Input should be greater than 0"),
        ("tensor_parallel_size", 0, "tensor_parallel_size: 0: Input should be greater than or equal to 1"),
        ("pipeline_parallel_size", 2, "pipeline_parallel_size: 2: vLLM's class of this model has no pipeline"),
        ("enforce_eager", "true", 'enforce_eager: "true": Input should be a valid boolean'),
        ("enforce_eager", 1, "enforce_eager: 1: Input should be a valid boolean"),
        ("dtype", "fp16", """dtype: "fp16": Input should be 'auto', 'half', 'float16', 'bfloat16'"""),
        ("disable_log_stats", True, "disable_log_stats: true: the metrics, and noticing an engine that has stalled"),
        ("structured_outputs_config", {"backend": "auto"}, 'expected "backend": "guidance"'),
        ("structured_outputs_config", {"disable_any_whitespace": True}, 'expected "backend": "guidance"'),
    ],
)
def test_wrong_engine_arguments_are_refused_when_they_are_read(
    tmp_path: Path, key: str, value: object, reason: str
) -> None:
    path = write(tmp_path, {"model": "nano", key: value})
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        EngineSettings.from_file(path)
    assert str(caught.value).startswith(f"{path}: {key}: ")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("gather", {"seconds": -1}, "seconds: -1: Input should be greater than or equal to 0"),
        ("gather", {"tokens": 0}, "tokens: 0: Input should be greater than or equal to 1"),
        ("gather", {"second": 1}, "second: 1: Extra inputs are not permitted"),
        ("encoder_graphs", {"patches": [512, 1001]}, "patches.1: 1001: Input should be a multiple of 4"),
        ("encoder_graphs", {"patch": []}, "patch: []: Extra inputs are not permitted"),
        ("burst", {"tokens": 64}, "tokens: 64: Input should be less than or equal to 32"),
    ],
)
def test_what_is_wrong_within_an_engine_argument_is_named_by_its_path(
    tmp_path: Path, key: str, value: dict[str, Any], reason: str
) -> None:
    path = write(tmp_path, {"model": "nano", "additional_config": {key: value}})
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        EngineSettings.from_file(path)
    assert str(caught.value) == f"{path}: additional_config.{key}.{reason}"


def test_every_wrong_engine_argument_has_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, {"model": "nano", "dtype": 1, "enforce_eager": 2, "max_model_len": 4096})
    with pytest.raises(ValueError, match=r"enforce_eager: 2: .*\n.*dtype: 1: ") as caught:
        EngineSettings.from_file(path)
    assert len(str(caught.value).splitlines()) == 2


def test_good_engine_arguments_reach_the_engine_as_they_are(tmp_path: Path) -> None:
    good = {
        "max_num_seqs": 8,
        "max_model_len": 2048,
        "gpu_memory_utilization": 1,
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 1,
        "enforce_eager": True,
        "dtype": "bfloat16",
        "disable_log_stats": False,
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        "quantization": "fp8",
    }
    settings = EngineSettings.from_file(write(tmp_path, {"model": "nano", **good}))
    assert {key: settings.engine_args[key] for key in good} == good
    assert (settings.max_num_seqs, settings.gpu_memory_utilization) == (8, 1.0)


def test_unknown_engine_arguments_are_refused_by_name(tmp_path: Path) -> None:
    settings = EngineSettings.from_file(write(tmp_path, {"model": "nano", "max_num_sequences": 3}))
    with pytest.raises(ValueError, match=r"model\.json: unknown engine arguments: max_num_sequences"):
        check_engine_args(settings)


@pytest.mark.parametrize("settings", [[], {}, {"model": 3}, {"model": ""}])
def test_settings_without_a_model_are_refused(tmp_path: Path, settings: object) -> None:
    with pytest.raises(ValueError, match="a JSON object with a 'model'"):
        EngineSettings.from_file(write(tmp_path, settings))


def test_a_checkpoint_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.json: model: no checkpoint at .*weights/v9"):
        EngineSettings.from_file(write(tmp_path, {"model": "./weights/v9"}))


def test_a_hub_id_without_a_hub_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"'nobody/nothing' is neither a folder nor on the hub"):
        resolve_checkpoint("nobody/nothing", tmp_path)


def test_a_relative_folder_is_found_beside_the_settings(tmp_path: Path) -> None:
    shutil.copytree(nano_path(), tmp_path / "weights", ignore=shutil.ignore_patterns("*.safetensors"))
    settings = EngineSettings.from_file(write(tmp_path, {"model": "weights"}))
    assert settings.checkpoint == tmp_path / "weights"


@pytest.mark.parametrize(
    "limits",
    [
        {"min_pixels": 3136, "max_pixels": 78400},
        {"size": {"shortest_edge": 3136, "longest_edge": 78400}},
        {"size": {"min_pixels": 3136, "max_pixels": 78400}},
    ],
)
def test_pixel_limits_are_read_in_every_spelling(tmp_path: Path, limits: dict[str, object]) -> None:
    config = {**limits, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config), "utf-8")
    grid = PixelGrid.from_checkpoint(tmp_path)
    assert (grid.min_pixels, grid.max_pixels, grid.factor) == (3136, 78400, 28)


def test_adapters_are_read_from_both_files_and_are_no_argument_of_vllm(tmp_path: Path) -> None:
    (tmp_path / "multi_lora.json").write_text('{"forms": "of/triton", "fonts": "/fonts"}', "utf-8")
    settings = EngineSettings.from_file(write(tmp_path, {"model": "nano", "adapters": {"forms": "forms"}}))
    assert settings.adapters == {"forms": tmp_path / "forms", "fonts": Path("/fonts")}
    check_engine_args(settings)


@pytest.mark.parametrize("adapters", [{"a b": "x"}, {"forms": 1}, ["forms"]])
def test_adapters_that_are_none_are_refused_by_name(tmp_path: Path, adapters: object) -> None:
    with pytest.raises(ValueError, match=r"model\.json: adapters"):
        EngineSettings.from_file(write(tmp_path, {"model": "nano", "adapters": adapters}))
    (tmp_path / "multi_lora.json").write_text(json.dumps(adapters), "utf-8")
    with pytest.raises(ValueError, match=r"multi_lora\.json"):
        EngineSettings.from_file(write(tmp_path, {"model": "nano"}))
