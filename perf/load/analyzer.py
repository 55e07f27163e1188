"""perf_analyzer: where it is, how it is run, what its files say."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from perf.load.measurement import FirstToken, Latency, Measurement, StageTime
from perf.load.profiles import Run

ENVIRONMENT: Final = "PERF_ANALYZER"
_TIMEOUT_SECONDS: Final = 900.0
_MESSAGE_LINES: Final = 3
_COMPOSING: Final = re.compile(r"(?P<model>.+)_v\d+\.")
_COMPUTE: Final = ("Server Compute Input", "Server Compute Infer", "Server Compute Output")


class AnalyzerNotFound(Exception):
    """There is no perf_analyzer; the message says how to get one."""


class MeasurementFailed(Exception):
    """perf_analyzer ended without figures: a request failed, or none was done in time. The message is its own."""


def find_perf_analyzer(given: Path | None = None) -> Path:
    """The one that is given, the one that the environment names, or the one on the PATH. Raises `AnalyzerNotFound`."""
    named = given or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    if named is not None:
        if not os.access(named, os.X_OK) or named.is_dir():
            raise AnalyzerNotFound(f"{named} cannot be run")
        return named.resolve()
    if on_path := shutil.which("perf_analyzer"):
        return Path(on_path)
    raise AnalyzerNotFound(
        f"perf_analyzer was not found: name it with --perf-analyzer or {ENVIRONMENT}, or put it on the PATH. "
        "NVIDIA's image nvcr.io/nvidia/tritonserver:<version>-py3-sdk has it, and so does "
        "`pip install perf-analyzer==2.60.0`, which needs glibc 2.38 or newer"
    )


def measure(
    binary: Path, run: Run, level: float, *, url: str, data: Path, folder: Path, more: Sequence[str] = ()
) -> Measurement:
    """One measurement; its CSV files and its log stay in `folder`. Raises `MeasurementFailed`.

    `more` are further arguments of perf_analyzer's: of two the last one counts.
    """
    label = run.label(level)
    report = folder / f"{label}.csv"
    export = folder / f"{label}.json"
    command = [
        *(str(binary), *run.arguments, *run.load_arguments(level)),
        *("-u", url, "--input-data", str(data.resolve())),
        # a name without a folder: perf_analyzer puts the names of composing models before it
        *("--verbose-csv", "-f", report.name),
        *(("--profile-export-file", export.name) if run.is_streaming else ()),
        *more,
    ]
    log = folder / f"{label}.log"
    try:
        done = subprocess.run(  # noqa: S603 - the program that the caller named
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise MeasurementFailed(f"perf_analyzer did not end within {_TIMEOUT_SECONDS:.0f} s") from None
    log.write_text(done.stdout + done.stderr)
    if done.returncode:
        raise MeasurementFailed(f"perf_analyzer ended with {done.returncode}: {last_words(done.stdout + done.stderr)}")
    if not report.is_file():
        raise MeasurementFailed(f"perf_analyzer wrote no figures: {last_words(done.stdout + done.stderr)}")
    composing = {
        match["model"]: path.read_text()
        for path in sorted(folder.glob(f"*.{report.name}"))
        if (match := _COMPOSING.match(path.name))
    }
    first_token = None
    if run.is_streaming:
        # not UTF-8: it has the images' bytes in it, which also make it as large as all that was sent
        first_token = parse_export(export.read_text("latin-1"))
        export.unlink()
    return parse_report(run, level, report.read_text(), composing, first_token)


def last_words(output: str) -> str:
    """The end of what perf_analyzer printed, warnings left out: it says why it gave up."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    return " ".join(lines[-_MESSAGE_LINES:])


def parse_report(
    run: Run, level: float, report: str, composing: Mapping[str, str], first_token: FirstToken | None = None
) -> Measurement:
    """What the CSV files of one measurement say, those of `composing` models by their names.

    perf_analyzer counts in microseconds. Raises `MeasurementFailed` where there are no figures.
    """
    row = _only_row(report)
    throughput = float(row["Inferences/Second"])
    if throughput <= 0:
        raise MeasurementFailed("perf_analyzer recorded no requests")
    stages = {name: _stage_time(_only_row(text)) for name, text in composing.items()}
    return Measurement(
        run,
        level,
        throughput,
        Latency(*(float(row[f"{name} latency"]) / 1000 for name in ("Avg", "p50", "p90", "p95", "p99"))),
        stages or {run.model: _stage_time(row)},
        first_token=first_token,
    )


def parse_export(text: str) -> FirstToken:
    """Times of responses from perf_analyzer's profile export, which counts in nanoseconds.

    A request's last response is empty: it only says that there are no more. Raises `MeasurementFailed` where no
    request had another.
    """
    firsts, gaps = [], []
    for request in _requests(text):
        times = [time - request["timestamp"] for time in request["response_timestamps"][:-1]]
        if times:
            firsts.append(times[0] / 1e6)
        if len(times) > 1:
            gaps.append((times[-1] - times[0]) / (len(times) - 1) / 1e6)
    if not firsts:
        raise MeasurementFailed("perf_analyzer recorded no responses")
    p50, p95, p99 = (float(value) for value in np.percentile(firsts, (50, 95, 99)))
    return FirstToken(p50, p95, p99, float(np.mean(gaps)) if gaps else 0.0)


def _requests(text: str) -> list[dict[str, Any]]:
    # control characters: see above
    experiments = json.loads(text, strict=False)["experiments"]
    return [request for experiment in experiments for request in experiment["requests"]]


def _only_row(text: str) -> dict[str, str]:
    rows = list(csv.DictReader(io.StringIO(text)))
    if len(rows) != 1:
        raise MeasurementFailed(f"expected one row of figures from perf_analyzer, found {len(rows)}")
    return rows[0]


def _stage_time(row: Mapping[str, str]) -> StageTime:
    return StageTime(
        queue=float(row["Server Queue"]) / 1000, compute=sum(float(row[column]) for column in _COMPUTE) / 1000
    )
