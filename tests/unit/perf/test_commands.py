"""`python -m perf`: every command is there, says what it does, and others are refused."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module

import pytest

from perf.__main__ import COMMANDS, Command, Group, main


def commands(group: Group) -> Iterator[Command]:
    for one in group.commands.values():
        yield from [one] if isinstance(one, Command) else commands(one)


ALL = Group(COMMANDS, "Measure.")


@pytest.mark.parametrize("module", [one.module for one in commands(ALL)])
def test_every_command_is_a_module_with_a_documented_main(module: str) -> None:
    assert inspect.getdoc(import_module(module).main)


def test_the_commands_are_listed_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["gpu"], ALL, "perf")
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    assert "usage: perf gpu COMMAND" in listed
    assert "pairs     Measure systems in turn" in listed


def test_a_command_is_run_with_its_own_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sizing", "--help"], ALL, "perf")
    assert ended.value.code == 0
    assert "Usage: perf sizing" in capsys.readouterr().out


def test_an_unknown_command_is_named_and_ends_with_a_failure() -> None:
    with pytest.raises(SystemExit, match="perf gpu: no command 'pair'"):
        main(["gpu", "pair"], ALL, "perf")
