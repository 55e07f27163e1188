"""A report of a profile: `summary.csv` for programs, `summary.md` for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from ocrvl.wire import Model
from perf.conditions import Conditions
from perf.load.measurement import Failure, Measurement
from perf.load.profiles import Load

_PARTS_NOTE = (
    "Means in milliseconds. The engine's are over all that it read meanwhile, the others over perf_analyzer's windows."
)
_LOAD = {Load.CONCURRENCY: "in flight", Load.REQUEST_RATE: "a second"}


def time_parts(measurement: Measurement) -> dict[str, float]:
    """Where the mean latency of a request went, ms: disjoint parts in its order; the last is what is left.

    The engine's parts are means over the whole measurement, perf_analyzer's over its windows alone, so that together
    they can exceed the latency: then nothing is left. Without the engine's metrics its time is in the last part.
    """
    parts = {}
    for model in (Model.STREAM, Model.PREPROCESS, Model.ENGINE):
        # computing of ocr_stream and paddleocr_vl is handing over to what is counted next
        if stage := measurement.stages.get(model):
            parts[f"{model}: queue"] = stage.queue
            if model is Model.PREPROCESS:
                parts[f"{model}: compute"] = stage.compute
    if engine := measurement.engine:
        parts["engine: waiting"] = engine.waiting
        parts["engine: first token"] = engine.first_token
        parts["engine: other tokens"] = engine.other_tokens
        rest = "network, Triton, hand-over"
    else:
        rest = "rest" if measurement.run.model == Model.PREPROCESS else "engine and rest"
    parts[rest] = max(measurement.latency.mean - sum(parts.values()), 0.0)
    return parts


def write_csv(path: Path, measurements: Sequence[Measurement], failures: Sequence[Failure]) -> None:
    """A row for each measurement, times in milliseconds; columns that do not apply are empty."""
    rows = [*map(_row, measurements), *({**_load(failure), "error": failure.message} for failure in failures)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(buffer.getvalue())


def write_markdown(
    path: Path,
    title: str,
    conditions: Conditions,
    measurements: Sequence[Measurement],
    failures: Sequence[Failure],
    plots: Sequence[Path],
) -> None:
    """The report that a person reads."""
    path.write_text("\n".join(_lines(title, conditions, measurements, failures, plots)) + "\n")


def _lines(
    title: str,
    conditions: Conditions,
    measurements: Sequence[Measurement],
    failures: Sequence[Failure],
    plots: Sequence[Path],
) -> Iterator[str]:
    yield f"# {title}: {conditions.caption}"
    yield ""
    for warning in conditions.warnings:
        yield f"**{warning}**"
        yield ""
    yield "| | |"
    yield "| --- | --- |"
    yield f"| date | {conditions.date:%Y-%m-%d %H:%M} UTC |"
    yield f"| machine | {conditions.machine} |"
    yield f"| checkpoint | {conditions.checkpoint} |"
    yield f"| versions | {', '.join(f'{name} {number}' for name, number in conditions.versions.items())} |"
    yield f"| server | {conditions.server or 'started for this run, on this machine'} |"
    for failure in failures:
        yield ""
        yield f"**{failure.run.label(failure.level)} failed, so there are no figures of it**: {failure.message}"
    if measurements:
        yield from ("", "## What callers see", "", "Times are milliseconds; one image a request.", "")
        yield from _table([_caller_row(one) for one in measurements])
        yield from ("", "## Where a request's time goes", "", _PARTS_NOTE, "")
        yield from _table([_parts_row(one) for one in measurements])
    for plot in plots:
        yield ""
        yield f"![{plot.stem}]({plot.name})"


def _caller_row(one: Measurement) -> dict[str, str]:
    row = {
        **{key: str(value) for key, value in _load(one).items()},
        "images/s": f"{one.throughput:.2f}",
        "p50": f"{one.latency.p50:.0f}",
        "p95": f"{one.latency.p95:.0f}",
        "p99": f"{one.latency.p99:.0f}",
    }
    if first := one.first_token:
        row |= {
            "first token p50": f"{first.p50:.0f}",
            "first token p95": f"{first.p95:.0f}",
            "between tokens": f"{first.between:.1f}",
        }
    # perf_analyzer gives up at the first failed request, so where there are figures nothing failed
    return row | {"errors": "0"}


def _parts_row(one: Measurement) -> dict[str, str]:
    return {"measurement": one.run.label(one.level), **{name: f"{ms:.1f}" for name, ms in time_parts(one).items()}}


def _load(one: Measurement | Failure) -> dict[str, str | float]:
    return {
        "model": one.run.model,
        "protocol": one.run.protocol,
        "images": str(one.run.images) + (f", {one.run.max_tokens} tokens" if one.run.max_tokens else ""),
        _LOAD[one.run.load]: f"{one.level:g}",
    }


def _row(one: Measurement) -> dict[str, str | float]:
    row = _load(one) | {"images_per_second": one.throughput}
    row |= {f"latency_{name}_ms": value for name, value in vars(one.latency).items()}
    for model, stage in one.stages.items():
        row |= {f"{model}_queue_ms": stage.queue, f"{model}_compute_ms": stage.compute}
    if engine := one.engine:
        row |= {f"engine_{name}_ms": value for name, value in vars(engine).items()}
    if first := one.first_token:
        row |= {f"first_token_{name}_ms": value for name, value in vars(first).items()}
    return row | {"error": ""}


def _table(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(row.get(column, '') for column in columns)} |"
