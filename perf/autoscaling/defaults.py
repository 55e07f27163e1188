"""The settings that the chart takes, in deploy/autoscaling.json, and others to compare them with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from perf.autoscaling.hpa import DOWN_BY_DEFAULT, UP_BY_DEFAULT, Bounds, Policy, PolicyType, Rules
from perf.autoscaling.simulation import Conditions, Settings, Signal, Trigger

DEFAULTS: Final = Path(__file__).parent.parent.parent / "deploy/autoscaling.json"


DEFAULTS_ROW: Final = "the defaults"


@dataclass(frozen=True)
class Variant:
    """A row of the table: a group of rows, what is different in it, and settings and conditions with that."""

    group: str
    name: str
    settings: Settings
    conditions: Conditions


def read_defaults(path: Path = DEFAULTS) -> Settings:
    """The settings that the chart takes."""
    values = json.loads(path.read_text("utf-8"))
    triggers = tuple(Trigger(Signal(one["signal"]), one["target_per_replica"]) for one in values["triggers"])
    return Settings(
        triggers=triggers,
        bounds=Bounds(values["min_replicas"], values["max_replicas"]),
        queue=values["queue_size"],
        up=_read_rules(values["behavior"]["scaleUp"]),
        down=_read_rules(values["behavior"]["scaleDown"]),
    )


def _read_rules(rules: Mapping[str, Any]) -> Rules:
    """A direction of `behavior` as Kubernetes writes it."""
    policies = (Policy(PolicyType(one["type"]), one["value"], one["periodSeconds"]) for one in rules["policies"])
    return Rules(rules["stabilizationWindowSeconds"], tuple(policies))


def list_variants(defaults: Settings, conditions: Conditions) -> list[Variant]:
    """The defaults, and everything that is changed about them, one thing at a time."""
    (trigger,) = defaults.triggers

    def on(signal: Signal, target: float) -> Settings:
        return replace(defaults, triggers=(Trigger(signal, target),))

    def up(seconds: int, *policies: Policy) -> Settings:
        return replace(defaults, up=Rules(seconds, policies))

    def down(seconds: int, *policies: Policy) -> Settings:
        return replace(defaults, down=Rules(seconds, policies))

    bounds, slow = defaults.bounds, defaults.down.policies
    targets = {f"{target:g}": on(trigger.signal, target) for target in (16, 24, 32, 48, 64, 96)}
    groups: dict[str, dict[str, Settings]] = {
        "": {DEFAULTS_ROW: defaults, "no autoscaling, all replicas all day": replace(defaults, triggers=())},
        "target per replica, waiting and in flight": targets,
        "other signals": {
            "in flight alone, 32": on(Signal.IN_FLIGHT, 32),
            "in flight alone, 80 % of the limit": on(Signal.IN_FLIGHT, 0.8 * conditions.in_flight_limit),
            "waiting alone, 8": on(Signal.WAITING, 8),
        },
        "scaling down": {
            "Kubernetes' own rules: all at once after 300 s": replace(defaults, down=DOWN_BY_DEFAULT),
            "after 300 s, then a replica a minute": down(300, *slow),
            "after 900 s, then a replica a minute": down(900, *slow),
            "after 60 s, then a replica in 2 minutes": down(60, Policy(PolicyType.PODS, 1, 120)),
            "after 60 s, then a replica in 5 minutes": down(60, Policy(PolicyType.PODS, 1, 300)),
        },
        "scaling up": {
            "Kubernetes' own rules: 4, or as many again, in 15 s": replace(defaults, up=UP_BY_DEFAULT),
            "a replica a minute": up(0, Policy(PolicyType.PODS, 1, 60)),
            "after 60 s": up(60, *defaults.up.policies),
        },
        "replicas at least": {
            str(count): replace(defaults, bounds=Bounds(count, bounds.max_replicas)) for count in (1, 2, 3, 4)
        },
        "queue, requests a replica": {str(size): replace(defaults, queue=size) for size in (128, 256, 512, 1024, 2048)},
    }
    found = {
        "a new replica serves after": {
            f"{seconds} s": replace(conditions, start_seconds=seconds) for seconds in (30, 90, 180, 300)
        },
        "metrics are scraped each": {
            f"{seconds} s": replace(conditions, scrape_seconds=seconds) for seconds in (15, 30, 60)
        },
    }
    return [
        *(Variant(group, name, one, conditions) for group, rows in groups.items() for name, one in rows.items()),
        *(Variant(group, name, defaults, other) for group, rows in found.items() for name, other in rows.items()),
    ]
