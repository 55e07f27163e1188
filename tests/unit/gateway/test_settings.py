"""The gateway's settings and its command."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from ocrvl_cli import app
from ocrvl_gateway import serve
from ocrvl_gateway.command_settings import InvalidSettings
from ocrvl_gateway.settings import PREFIX, GatewaySettings, read_settings

KEY = "a-key-of-some-length"


def test_the_command_line_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCRVL_GATEWAY_PORT", "1234")
    monkeypatch.setenv("OCRVL_GATEWAY_SERVER", "a:8001,b:8001")
    assert (read_settings().port, read_settings().server) == (1234, ["a:8001", "b:8001"])
    assert read_settings(["--port", "99"]).port == 99


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port or OCRVL_GATEWAY_PORT: Input should be less"),
        (["--server", "http://localhost:8001"], "without a scheme"),
        (["--server", ""], "at least 1"),
        (["--rate-limit", "-1"], "--rate-limit"),
        (["--api-keys", "short"], "at least 16 characters"),
        (["--api-keys", "sha256:abc"], "64 lowercase hexadecimal digits"),
        (["--url-hosts", "http://a.com/"], "name of a host"),
        (["--ca", "/nowhere.pem"], "file"),
        (["--ca", __file__], "--tls true"),
        (["--tls", "true", "--certificate", __file__], "one goes with the other"),
    ],
)
def test_invalid_settings_are_refused_by_name(arguments: list[str], words: str) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(words)):
        read_settings(arguments)


def test_an_unknown_variable_of_the_environment_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="OCRVL_GATEWAY_LIMIT: no such setting"):
        read_settings([], {f"{PREFIX}LIMIT": "1", "PATH": "/bin"})


def test_settings_do_not_change_and_do_not_show_their_keys() -> None:
    settings = GatewaySettings(api_keys=[KEY])
    assert KEY not in repr(settings)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, "port", 1)  # noqa: B010 - types refuse it as well


def test_the_command_serves_with_the_settings_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[GatewaySettings] = []
    monkeypatch.setattr(serve, "serve", served.append)
    outcome = CliRunner().invoke(app, ["gateway", "--server", "a:1", "--max-pages", "5"])
    assert outcome.exit_code == 0, outcome.output
    assert (served[0].server, served[0].max_pages) == (["a:1"], 5)


def test_the_command_tells_its_settings_and_refuses_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    helped = CliRunner().invoke(app, ["gateway", "--help"])
    assert helped.exit_code == 0
    for name in GatewaySettings.model_fields:
        assert f"--{name.replace('_', '-')}" in helped.output
    assert CliRunner().invoke(app, ["gateway", "--port", "x"]).exit_code == 2
    assert CliRunner().invoke(app, ["gateway", "--prot", "1"]).exit_code == 2


def test_the_command_names_the_extra_where_a_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, *arguments: Any) -> Any:
        return None if name == "fastapi" else find(name, *arguments)

    monkeypatch.setattr(sys.modules["ocrvl_cli.extras"], "find_spec", without)
    outcome = CliRunner().invoke(app, ["gateway"])
    assert outcome.exit_code == 1
    assert "not installed: fastapi" in outcome.output
    assert "extra 'gateway'" in outcome.output
