"""Kubernetes' rules, a replica's queue, and a day of both; the figures that are written down against the simulation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest

from perf.autoscaling.conditions import measured_conditions
from perf.autoscaling.defaults import DEFAULTS, DEFAULTS_ROW, list_variants, read_defaults
from perf.autoscaling.hpa import DOWN_BY_DEFAULT, Autoscaler, Bounds, Policy, PolicyType, Rules, propose
from perf.autoscaling.load import Day
from perf.autoscaling.replica import Curve, Limits, Replica, Taken
from perf.autoscaling.report import NAME, simulate_days
from perf.autoscaling.simulation import Conditions, Settings, Signal, Trigger, simulate
from perf.figures.data import Value, load
from perf.figures.engine import Workload, read_engine_figures

PODS, PERCENT = PolicyType.PODS, PolicyType.PERCENT
BOUNDS = Bounds(1, 100)
CURVE = Curve({1: 1.0, 10: 10.0})


@pytest.mark.parametrize(
    ("total", "replicas", "desired"),
    [(109, 10, 10), (91, 10, 10), (111, 10, 12), (89, 10, 9), (0, 3, 0), (1000, 1, 100)],
)
def test_what_is_within_a_tenth_of_the_target_changes_nothing(total: int, replicas: int, desired: int) -> None:
    assert propose(total, 10, replicas) == desired


def test_of_several_metrics_the_one_that_asks_for_most_counts() -> None:
    assert Autoscaler(BOUNDS, Rules(0, (Policy(PODS, 100, 15),))).decide(0, 5, [2, 8, 6]) == 8


def test_the_bounds_hold_whatever_is_proposed() -> None:
    autoscaler = Autoscaler(Bounds(2, 6), Rules(0, (Policy(PODS, 100, 15),)), Rules(0, (Policy(PODS, 100, 15),)))
    assert autoscaler.decide(0, 4, [50]) == 6
    assert autoscaler.decide(15, 6, [0]) == 2


def test_by_default_four_or_as_many_again_are_added_in_a_quarter_of_a_minute() -> None:
    autoscaler = Autoscaler(BOUNDS)
    assert autoscaler.decide(0, 1, [90]) == 5
    assert autoscaler.decide(15, 5, [90]) == 10
    assert autoscaler.decide(30, 10, [90]) == 20


def test_a_policy_counts_what_was_done_within_its_period() -> None:
    autoscaler = Autoscaler(BOUNDS, Rules(0, (Policy(PODS, 2, 60),)))
    decided = [3]
    for step in range(1, 9):
        decided.append(autoscaler.decide(15.0 * step, decided[-1], [90]))
    assert decided == [3, 5, 5, 5, 5, 7, 7, 7, 7]


def test_replicas_go_one_by_one_where_the_policy_says_so() -> None:
    autoscaler = Autoscaler(BOUNDS, down=Rules(0, (Policy(PODS, 1, 60),)))
    assert autoscaler.decide(0, 10, [1]) == 9
    assert autoscaler.decide(30, 9, [1]) == 9
    assert autoscaler.decide(60, 9, [1]) == 8


def test_percentages_are_rounded_towards_the_larger_change() -> None:
    up = Autoscaler(BOUNDS, Rules(0, (Policy(PERCENT, 50, 60),)))
    assert up.decide(0, 3, [90]) == 5
    down = Autoscaler(BOUNDS, down=Rules(0, (Policy(PERCENT, 50, 60),)))
    assert down.decide(0, 5, [1]) == 2


def test_going_down_waits_until_the_highest_proposal_has_left_the_window() -> None:
    autoscaler = Autoscaler(BOUNDS)
    assert autoscaler.decide(0, 10, [10]) == 10
    assert autoscaler.decide(285, 10, [4]) == 10
    assert autoscaler.decide(300, 10, [4]) == 4


def test_going_up_waits_while_a_lower_proposal_is_in_its_window() -> None:
    autoscaler = Autoscaler(BOUNDS, Rules(60, (Policy(PODS, 100, 15),)))
    assert autoscaler.decide(0, 5, [5]) == 5
    assert autoscaler.decide(45, 5, [9]) == 5
    assert autoscaler.decide(60, 5, [9]) == 9


def test_the_curve_goes_through_what_was_measured_and_no_higher() -> None:
    for rate_at in (read_engine_figures().rate_at[workload] for workload in Workload):
        curve = Curve(rate_at)
        for in_flight, rate in rate_at.items():
            assert curve.rate(in_flight) == pytest.approx(rate)
        rates = curve.table(1000)
        assert rates == sorted(rates)
        assert max(rates) == max(rate_at.values())


def replica(limits: Limits) -> tuple[Replica, Taken]:
    taken = Taken()
    return Replica(CURVE.table(limits.in_flight), limits, taken), taken


def test_what_does_not_fit_is_refused_at_once_and_what_waits_too_long_later() -> None:
    one, taken = replica(Limits(in_flight=2, queue=3, queue_seconds=1.0))
    one.step(0.0, 7, 0.1)
    assert (one.in_flight, one.waiting, taken.refused) == (2, 3, 2)
    one.step(5.0, 0, 0.1)
    assert taken.expired == 3
    assert one.waiting == 0


def test_requests_are_served_in_the_order_in_which_they_came() -> None:
    one, taken = replica(Limits(in_flight=1, queue=10, queue_seconds=60.0))
    for second in range(4):
        one.step(float(second), 1 if second < 2 else 0, 1.0)
    assert taken.waits == {0.0: 2}
    one.step(4.0, 3, 1.0)
    for second in range(5, 9):
        one.step(float(second), 0, 1.0)
    assert taken.waits == {0.0: 3, 1.0: 1, 2.0: 1}
    assert one.is_empty


def test_no_request_is_lost_and_none_is_counted_twice() -> None:
    settings = Settings((Trigger(Signal.BOTH, 2),), Bounds(1, 3), queue=5)
    result = simulate(settings, Conditions(CURVE, 90, in_flight_limit=10), Day(25, bursts=4))
    fixed = simulate(replace(settings, triggers=()), Conditions(CURVE, 90, in_flight_limit=10), Day(25, bursts=4))
    assert 0 < fixed.refused < result.refused < result.requests
    assert result.requests == fixed.requests == Day(25, bursts=4).arrivals(0.5).sum()
    assert fixed.gpu_hours == 72


def test_the_same_day_comes_out_the_same() -> None:
    settings = Settings((Trigger(Signal.BOTH, 2),), Bounds(1, 3), queue=5)
    conditions = Conditions(CURVE, 30, in_flight_limit=10)
    result = simulate(settings, conditions, Day(10))
    assert simulate(settings, conditions, Day(10)) == result
    assert simulate(settings, conditions, Day(10, seed=8)) != result


def simulated() -> dict[tuple[Value, Value], Mapping[str, Value]]:
    """The records that are written down, by group and variant."""
    return {(record["group"], record["variant"]): record for record in load(NAME).measurements}


def test_the_figures_have_every_variant_and_the_defaults_come_out_as_they_say() -> None:
    variants = list_variants(read_defaults(), measured_conditions())
    assert list(simulated()) == [(variant.group, variant.name) for variant in variants]
    assert simulated()["", DEFAULTS_ROW] == simulate_days(variants[0]).record()


def test_nothing_that_keeps_the_promises_is_cheaper_than_the_defaults() -> None:
    """As docs/autoscaling.md says: a 99th percentile of a second, one request of a thousand refused."""
    conditions = ("a new replica serves after", "metrics are scraped each")
    figures = load(NAME)
    kept = {}
    for group, variant in simulated():
        number = partial(figures.number, group=str(group), variant=str(variant))
        if group not in conditions and number("p99_seconds") <= 1 and number("refused_share") <= 0.001:
            kept[variant] = number("gpu_hours")
    assert kept[DEFAULTS_ROW] <= 1.01 * min(kept.values())


def test_kubernetes_own_rules_for_scaling_down_cost_more_and_refuse_more() -> None:
    defaults, conditions, day = read_defaults(), measured_conditions(), Day(300, seed=1)
    ours, theirs = (simulate(one, conditions, day) for one in (defaults, replace(defaults, down=DOWN_BY_DEFAULT)))
    assert theirs.gpu_hours > ours.gpu_hours
    assert theirs.refused > ours.refused


def test_the_engine_is_given_as_many_images_as_the_defaults_say() -> None:
    sequences = json.loads(DEFAULTS.read_text("utf-8"))["max_num_seqs"]
    assert measured_conditions().in_flight_limit == sequences + math.ceil(sequences / 8)
