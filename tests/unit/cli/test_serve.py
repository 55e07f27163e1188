"""`ocrvl serve`: its arguments, and what it prints of its server."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ocrvl.launcher import locate
from ocrvl.launcher.locate import TritonInstallation
from ocrvl_cli import app
from ocrvl_cli.serve import network_warning
from ocrvl_cli.server_output import StatusPrinter
from ocrvl_cli.terminal import Console


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--interface", "carrier-pigeon"], "expected one of unary, stream, document, receipt"),
        (["./repository"], "is none of Triton's arguments"),
        (["--max-failures", "0"], "--max-failures"),
        (["--allow", "everything"], "expected one of model-repository, shared-memory, trace, logging"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["serve", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert words in done.output


def test_an_operator_is_told_once_that_a_start_is_slow(capsys: pytest.CaptureFixture[str]) -> None:
    with StatusPrinter(Console(stderr=True)) as reports:
        for seconds in (1.0, 121.0, 130.0):
            reports.waiting(["paddleocr_vl"], seconds)
    assert capsys.readouterr().err.count("still loading after 120 s: paddleocr_vl") == 1


@pytest.mark.parametrize(
    ("host", "from_wheel", "warned"), [("0.0.0.0", True, True), ("0.0.0.0", False, False), ("127.0.0.1", True, False)]
)
def test_an_old_server_that_is_opened_to_a_network_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, from_wheel: bool, warned: bool
) -> None:
    installation = TritonInstallation(tmp_path, tmp_path, stub=tmp_path if from_wheel else None)
    monkeypatch.setattr(locate, "find_triton", lambda: installation)
    assert (network_warning(host) is not None) is warned
