"""What the page of receipts says of the pipeline is what it does."""

from __future__ import annotations

import re
from pathlib import Path

from ocrvl_receipts.errors import Code
from ocrvl_receipts.front.app import create_app
from ocrvl_receipts.settings import FrontSettings, WorkerSettings

PAGE = Path("docs/receipts.md").read_text("utf-8").partition("\n## The pipeline\n")[2]


def section(title: str) -> str:
    _, found, rest = PAGE.partition(f"\n### {title}\n")
    assert found, title
    return rest.partition("\n### ")[0]


def test_every_code_of_a_failure_is_in_the_table_and_no_other() -> None:
    rows = [line for line in section("Failures").splitlines() if line.startswith("| ")]
    assert set(re.findall(r"`([a-z_]+)`", "".join(rows))) - {"receipts"} == set(Code)


def test_every_endpoint_is_in_the_table() -> None:
    paths = create_app(FrontSettings()).openapi()["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    probes = {"GET /healthz", "GET /readyz", "GET /metrics"}
    named = {name.replace("{id}", "{result_id}") for name in re.findall(r"`((?:GET|POST) /[^`]*)`", section("Uploads"))}
    assert named == served - probes


def test_every_setting_that_is_named_exists() -> None:
    settings = {f"--{name.replace('_', '-')}" for kind in (WorkerSettings, FrontSettings) for name in kind.model_fields}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert named - {"--help"} <= settings
