"""What a query of Prometheus asks for, and whether a server has it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import promql_parser
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import AggregateExpr, Expr, MatchOp, VectorSelector

TARGET_LABELS: Final = frozenset({"job", "instance"})
"""Put on every series by Prometheus, so that a server's own page does not have them."""

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """The series that a query selects, each as a name with its matchers, and the labels that it groups by."""

    selectors: tuple[VectorSelector, ...]
    grouped_by: frozenset[str]

    @property
    def names(self) -> set[str]:
        """The metrics' names."""
        return {str(selector.name) for selector in self.selectors}


def read_query(query: str) -> Asked:
    """Raises `ValueError` for what is no query. Grafana's own variables may be in it."""
    selectors: list[VectorSelector] = []
    grouped_by: set[str] = set()

    def visit(expression: Expr) -> None:
        if isinstance(expression, VectorSelector):
            selectors.append(expression)
        if isinstance(expression, AggregateExpr) and expression.modifier:
            grouped_by.update(expression.modifier.labels)

    promql_parser.walk(promql_parser.parse(query.replace("$__rate_interval", "5m")), visit)
    return Asked(tuple(selectors), frozenset(grouped_by))


def read_samples(metrics: str) -> Sequence[tuple[str, Labels]]:
    """Name and labels of each series of a server's page."""
    published = set(re.findall(r"^[a-zA-Z_:][\w:]*", metrics, re.MULTILINE))
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    # the parser calls every counter's samples `…_total`, which Triton's own and those of histograms are not
    return [
        (sample.name if sample.name in published else sample.name.removesuffix("_total"), sample.labels)
        for sample in samples
    ]


def missing(asked: Asked, samples: Sequence[tuple[str, Labels]], legend: str = "") -> list[str]:
    """What of a query no series has: selectors that choose nothing, and labels of groups and of the legend."""
    selected = [[labels for name, labels in samples if _matches(one, name, labels)] for one in asked.selectors]
    nothing = [str(one) for one, found in zip(asked.selectors, selected, strict=True) if not found]
    known = TARGET_LABELS.union(*(labels for found in selected for labels in found))
    wanted = asked.grouped_by.union(re.findall(r"{{(\w+)}}", legend))
    return nothing + sorted(wanted - known)


def _matches(selector: VectorSelector, name: str, labels: Labels) -> bool:
    if selector.name != name:
        return False
    for matcher in selector.matchers.matchers:
        if matcher.name in TARGET_LABELS:
            continue
        value = labels.get(matcher.name, "")
        is_pattern = matcher.op in (MatchOp.Re, MatchOp.NotRe)
        agrees = re.fullmatch(matcher.value, value) is not None if is_pattern else value == matcher.value
        if agrees is (matcher.op in (MatchOp.NotEqual, MatchOp.NotRe)):
            return False
    return True
