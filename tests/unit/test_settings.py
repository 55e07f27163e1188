"""`ocrvl.engine.settings` and `ocrvl.checkpoint`: read once, wrong ones refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ocrvl.checkpoint import nano_path, resolve_checkpoint
from ocrvl.engine.settings import EngineSettings
from ocrvl.engine.vllm_engine import check_engine_args
from ocrvl.images.grid import PixelGrid
from ocrvl.serving.locate import find_model_repository


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


def test_unknown_engine_arguments_are_refused_by_name(tmp_path: Path) -> None:
    settings = EngineSettings.from_file(write(tmp_path, {"model": "nano", "max_num_sequences": 3}))
    with pytest.raises(ValueError, match=r"model\.json: unknown engine arguments: max_num_sequences"):
        check_engine_args(settings)


@pytest.mark.parametrize("settings", [[], {}, {"model": 3}, {"model": ""}])
def test_settings_without_a_model_are_refused(tmp_path: Path, settings: object) -> None:
    with pytest.raises(ValueError, match="a JSON object with a 'model'"):
        EngineSettings.from_file(write(tmp_path, settings))


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
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
