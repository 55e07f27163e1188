"""Dashboard, alerts and autoscaling against what makes them, Prometheus' own tool, and the documentation."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.pages import anchors
from tests.support.promql import read_query
from tests.support.watching import ALERTS, list_queries, read_alerts
from tools.dashboard.__main__ import DASHBOARD, render

ALERT_TESTS = ALERTS.with_name("ocrvl.test.yaml")
DOCS = Path("docs")
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def promtool(*arguments: str) -> str:
    """What promtool of the environment, or of the system, says about files beside the alerts; it must agree."""
    found = shutil.which("promtool", path=f"{Path(sys.executable).parent}:{DEFAULT_PATH}")
    if not found:
        pytest.skip("promtool is not here; `make .venv/bin/promtool` takes it from Debian's package of Prometheus")
    done = subprocess.run([found, *arguments], cwd=ALERTS.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alert_tests() -> list[dict[str, Any]]:
    tests = yaml.safe_load(ALERT_TESTS.read_text("utf-8"))["tests"]
    return [test for group in tests for test in group["alert_rule_test"]]


def test_the_dashboard_is_what_the_script_makes() -> None:
    assert DASHBOARD.read_text("utf-8") == render(), "run python -m tools.dashboard"


@pytest.mark.parametrize(("where", "query", "_"), list_queries())
def test_every_query_can_be_read_and_names_a_metric(where: str, query: str, _: str) -> None:
    assert read_query(query).names, where


@pytest.mark.parametrize(("where", "query", "_"), list_queries())
def test_every_metric_that_is_queried_is_explained(where: str, query: str, _: str) -> None:
    explained = set(re.findall(r"`((?:ocrvl_|vllm:|nv_)\w+)`", (DOCS / "metrics.md").read_text("utf-8")))
    parts = re.compile(r"_(bucket|sum|count)$")  # of a histogram, which is explained as a whole
    unexplained = {name for name in read_query(query).names if not {name, parts.sub("", name)} & explained}
    assert not unexplained, where


def test_prometheus_takes_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", ALERTS.name)


def test_every_alert_is_raised_by_what_it_is_for_and_by_nothing_else() -> None:
    assert "SUCCESS" in promtool("test", "rules", ALERT_TESTS.name)


def test_no_alert_is_without_a_case_that_raises_it_and_one_that_does_not() -> None:
    raised = {test["alertname"] for test in alert_tests() if test.get("exp_alerts")}
    quiet = {test["alertname"] for test in alert_tests() if not test.get("exp_alerts")}
    assert raised == quiet == {rule["alert"] for rule in read_alerts()}


@pytest.mark.parametrize("rule", read_alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_says_how_urgent_it_is_and_leads_to_its_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in anchors(Path(page))


def test_every_runbook_of_an_alert_is_one_that_an_alert_leads_to() -> None:
    """Runbooks below the first heading are those of alerts, each with the alerts' names under it."""
    page = (DOCS / "runbooks.md").read_text("utf-8")
    assert set(re.findall(r"`(Ocrvl\w+)`", page)) == {rule["alert"] for rule in read_alerts()}
