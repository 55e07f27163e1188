"""`ocrvl read`: what it takes, what it refuses before anything is begun, and what a shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ocrvl import __version__
from ocrvl_cli import app

OCRVL = str(Path(sys.executable).parent / "ocrvl")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "text", "--json"], "several formats need a folder"),
        (["--draw"], "drawn pages need a folder"),
        (["--layout", "--task", "table"], "--layout reads each block as what it is"),
        (["--draw", "--task", "table", "-o", "out"], "only blocks that --layout finds can be drawn"),
        (["--certificate", __file__], "--certificate and --key go together"),
        (["--ca", "/nowhere.pem"], "does not exist"),
        (["--url", "http://localhost:8001"], "without a scheme"),
        (["--url", "localhost"], "expected host and port"),
        (["--header", "token"], "expected NAME:VALUE"),
        (["--options", "{"], "not JSON"),
        (["--options", "[]"], "expected a JSON object"),
        (["--pages", "0"], "'0': expected pages from 1 on and ranges of them, such as 1-5,8,12-"),
        (["--jobs", "0"], "greater than or equal to 1"),
        (["--format", "docx"], "is not one of"),
        (["--format", "csv"], "tables for spreadsheets are made of receipts"),
        (["--receipt", "--format", "html", "-o", "out"], "receipts are written as text, json, csv, not html"),
        (["--receipt", "--task", "ocr"], "a receipt is one image"),
        (["--receipt", "--layout"], "a receipt is one image"),
        (["--receipt", "--pages", "1"], "a receipt is one image"),
        (["--receipt", "--draw"], "drawn pages need a folder"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: list[str], words: str) -> None:
    inputs = ["a.png"] if options else []
    done = CliRunner().invoke(app, ["read", *inputs, *options], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


def test_the_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"ocrvl {__version__}\n")


def complete(*words: str) -> str:
    """What a shell is offered for the last of these words."""
    line = " ".join(("ocrvl", *words))
    asked = {"_OCRVL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
    done = subprocess.run([OCRVL], env=os.environ | asked, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def test_a_shell_completes_commands_options_and_values() -> None:
    offered = complete("")
    for command in ("serve", "read", "repository", "probe", "doctor"):
        assert command in offered
    assert "--output" in complete("read", "--o")
    assert "markdown" in complete("read", "--format", "")


def test_completion_can_be_shown_for_a_shell() -> None:
    done = subprocess.run([OCRVL, "--show-completion", "bash"], capture_output=True, text=True, timeout=60, check=False)
    assert "_OCRVL_COMPLETE=complete_bash" in done.stdout


def test_the_help_has_examples_and_every_exit_status() -> None:
    text = CliRunner().invoke(app, ["read", "--help"], env={"COLUMNS": "120"}).stdout
    assert "ocrvl read report.pdf --pages 1-5 -o out/" in text
    for status in ("0", "1", "2", "3", "4", "130"):
        assert f"\n   {status} " in text.replace("\r", "")
