"""What the commands print: nothing that others wrote reaches a terminal as a command to it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ocrvl_cli import app, terminal
from ocrvl_cli.terminal import Console

ESCAPE = "\x1b]0;owned\x07\x9b2J\u202e"
FOLDER = Path(terminal.__file__).parent


def test_a_console_prints_brackets_as_brackets_and_escapes_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    Console().print(f"[bold]{ESCAPE}\n[/nothing]", style="red")
    assert capsys.readouterr().out == "[bold]\\x1b]0;owned\\x07\\x9b2J\\u202e\n[/nothing]\n"


@pytest.mark.parametrize(
    "words",
    [
        (f"--{ESCAPE}",),
        (ESCAPE,),
        ("read", f"--{ESCAPE}"),
        ("read", "a.png", "--ca", ESCAPE),
        ("read", "a.png", "--url", ESCAPE),
        ("read", "a.png", "--format", ESCAPE),
        ("serve", "--interface", ESCAPE),
        ("repository", ESCAPE, "--gpus", ESCAPE),
        ("probe", "--url", ESCAPE),
        ("gateway", f"--{ESCAPE}"),
    ],
)
def test_a_usage_error_repeats_words_without_their_escapes(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 2
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(done.output)


def test_commands_print_through_this_module_alone() -> None:
    found = {
        path.name: node.lineno
        for path in FOLDER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if path != Path(terminal.__file__)
        and (
            (isinstance(node, ast.ImportFrom) and node.module == "rich.console")
            or (isinstance(node, ast.Attribute) and node.attr in ("echo", "secho"))
        )
    }
    assert found == {}
