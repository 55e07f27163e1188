"""Every query that the deployment's files have: of the dashboard, the alerts and the autoscaler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from perf.autoscaling.defaults import DEFAULTS
from tools.dashboard.__main__ import DASHBOARD

ALERTS: Final = Path("deploy/alerts/ocrvl.rules.yaml")


def read_alerts() -> list[dict[str, Any]]:
    """The rules of all groups."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def list_queries() -> list[tuple[str, str, str]]:
    """Where each query is, the query, and the legend of its lines."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    graphs = [(panel["title"], target) for panel in panels for target in panel.get("targets", [])]
    triggers = json.loads(DEFAULTS.read_text("utf-8"))["triggers"]
    return [
        *((f"dashboard: {title}", target["expr"], target["legendFormat"]) for title, target in graphs),
        *((f"alert: {rule['alert']}", rule["expr"], "") for rule in read_alerts()),
        *(("autoscaling", trigger["query"], "") for trigger in triggers),
    ]
