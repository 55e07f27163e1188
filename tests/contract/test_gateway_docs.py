"""The gateway's page against its settings and its routes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic_core import PydanticUndefined

from ocrvl_gateway.app import create_app
from ocrvl_gateway.settings import PREFIX, GatewaySettings
from tests.support.gateways import ScriptedReader

PAGE = Path("docs/gateway.md").read_text("utf-8")


def rows(title: str) -> list[list[str]]:
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")]


def test_every_setting_is_in_the_table_with_its_default_and_meaning() -> None:
    defined = {}
    for name, field in GatewaySettings.model_fields.items():
        default = field.get_default()
        assert default is not PydanticUndefined
        shown = "" if default is None else f"`{json.dumps(default)}`"
        defined[f"`--{name.replace('_', '-')}`"] = (shown, field.description)
    assert {row[0]: tuple(row[1:]) for row in rows("Settings")} == defined
    assert f"`--max-pages 50` is `{PREFIX}MAX_PAGES=50`" in PAGE


def test_every_endpoint_is_in_the_table() -> None:
    app = create_app(GatewaySettings(), ScriptedReader())
    served = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    documented = {name for row in rows("Endpoints") for name in re.findall(r"`((?:GET|POST) [^`]+)`", row[0])}
    assert documented == served | {"GET /", "GET /openapi.json"}
