"""`ocrvl receipts`: what it says where it cannot begin. What it does is tested with a real broker."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from ocrvl_cli import app


@pytest.mark.parametrize("command", [["worker"], ["front"], ["dlq", "list"]])
def test_a_package_that_is_missing_is_named_with_its_extra(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, *arguments: Any) -> Any:
        return None if name == "confluent_kafka" else find(name, *arguments)

    monkeypatch.setattr(sys.modules["ocrvl_cli.extras"], "find_spec", without)
    outcome = CliRunner().invoke(app, ["receipts", *command])
    assert outcome.exit_code == 1
    assert "not installed: confluent_kafka" in outcome.output
    assert "extra 'receipts'" in outcome.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["worker", "--nonsense", "1"], "--nonsense"),
        (["worker", "--window", "1"], "--window: less than --concurrency"),
        (["front", "--port", "http"], "--port or OCRVL_RECEIPTS_PORT"),
        (["dlq", "list", "--brokers", "localhost"], "expected host and port"),
        (["dlq", "replay"], "expected places, --code or --all"),
    ],
)
def test_a_setting_that_is_wrong_is_named(arguments: list[str], words: str) -> None:
    outcome = CliRunner().invoke(app, ["receipts", *arguments])
    assert outcome.exit_code == 2
    assert words in outcome.output
