"""`ocrvl quantize`: what it prints, and the exit status where it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ocrvl_cli import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["quantize", *arguments], env={"COLUMNS": "200"})


def test_the_sizes_are_printed_and_the_card_says_the_same(tmp_path: Path) -> None:
    done = run("nano", str(tmp_path / "out"), "--scheme", "w4a16", "--parts", "text")
    assert done.exit_code == 0, done.output
    assert "weights  11.1 MB, now 7.8 MB" in done.output
    card = (tmp_path / "out/README.md").read_text("utf-8")
    assert card.startswith("# nano, quantised: w4a16\n")
    assert "| all weights | 11,133,696 | 7,836,976 | 0.704 |" in card
    assert "Not measured" in card


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nano", "."], "TARGET: . exists"),
        (["./nowhere", "out"], "SOURCE: no checkpoint at"),
        (["fields", "out"], "SOURCE: no checkpoint at"),
        (["nano", "out", "--scheme", "int4"], "--scheme"),
    ],
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert not list(tmp_path.iterdir())
