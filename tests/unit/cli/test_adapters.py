"""`ocrvl adapters`: what it writes and says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ocrvl_cli import app
from tests.support.adapters import as_transformers, in_language_model, random_tensors, write_adapter


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter", random_tensors(1, 4, 0.1, in_language_model), as_transformers)


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["adapters", *map(str, arguments)])
    return result.exit_code, result.output


def test_an_adapter_that_fits_is_described(adapter: Path) -> None:
    status, said = run("check", adapter)
    assert status == 0
    assert "rank 4, 35 modules of the language model" in said


def test_what_does_not_fit_is_told_with_status_1(tmp_path: Path) -> None:
    status, said = run("check", tmp_path / "nowhere")
    assert status == 1
    assert "no such folder" in said


@pytest.mark.parametrize(("command", "written"), [("convert", "adapter_config.json"), ("merge", "config.json")])
def test_folders_are_written(adapter: Path, tmp_path: Path, command: str, written: str) -> None:
    assert run(command, adapter, tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / written).is_file()
    status, said = run(command, adapter, tmp_path / "out")
    assert status == 1
    assert "exists already" in " ".join(said.split())
