"""The load profiles with the real perf_analyzer, where it is at hand."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from ocrvl.launcher.server import TritonServer
from perf.load import __main__ as perf_run
from perf.load.__main__ import Target, run_profile
from perf.load.analyzer import AnalyzerNotFound, find_perf_analyzer
from perf.load.input_data import image_request
from perf.load.profiles import Profile, load_profile

BUNDLE = Path(__file__).parents[3] / "shared/tools/perf-analyzer-bundle"
"""A tool that continuous integration may have beside the checkout: it builds perf_analyzer for an older glibc."""

QUICK = ("--measurement-mode", "count_windows", "--measurement-request-count", "3", "--warmup-request-count", "1")


@pytest.fixture(scope="module")
def perf_analyzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return find_perf_analyzer()
    except AnalyzerNotFound as error:
        if not os.access(BUNDLE, os.X_OK):
            pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("perf_analyzer")
    done = subprocess.run([BUNDLE, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"perf_analyzer could not be built here: {done.stderr[-300:]}")
    return folder / "perf_analyzer"


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))


def test_the_smoke_profile_measures_without_a_failed_request(
    server: TritonServer, perf_analyzer: Path, tmp_path: Path
) -> None:
    assert run_profile(load_profile("smoke"), Target.of(server), perf_analyzer, tmp_path, count=16) == []
    measured = rows(tmp_path)
    assert [row["in flight"] for row in measured] == ["1", "4"]
    for row in measured:
        assert float(row["images_per_second"]) > 0
        assert 0 < float(row["latency_p50_ms"]) <= float(row["latency_p95_ms"]) <= float(row["latency_p99_ms"])
        assert float(row["preprocess_compute_ms"]) > 0
        assert float(row["engine_first_token_ms"]) > 0
        assert row["error"] == ""
    assert (tmp_path / "summary.md").read_text().startswith("# smoke: nano checkpoint, ")
    assert {path.name for path in tmp_path.glob("*.svg")} == {"load.svg", "time.svg"}


@pytest.mark.parametrize("stage", ["preprocess", "paddleocr_vl"])
def test_a_stage_alone_takes_the_input_data_that_is_made_for_it(
    server: TritonServer, perf_analyzer: Path, tmp_path: Path, stage: str
) -> None:
    (run,) = (run for run in load_profile("stages").runs if run.model == stage)
    profile = Profile("stage", (replace(run, levels=(2,)),))
    assert run_profile(profile, Target.of(server), perf_analyzer, tmp_path, count=4, more=QUICK) == []
    assert float(rows(tmp_path)[0]["images_per_second"]) > 0


def test_streams_have_a_time_to_the_first_token(server: TritonServer, perf_analyzer: Path, tmp_path: Path) -> None:
    (run,) = load_profile("streaming").runs
    profile = Profile("streaming", (replace(run, levels=(2,)),))
    assert run_profile(profile, Target.of(server), perf_analyzer, tmp_path, count=4, more=QUICK) == []
    (row,) = rows(tmp_path)
    assert 0 < float(row["first_token_p50_ms"]) < float(row["latency_p99_ms"])
    assert (tmp_path / "first-token.svg").is_file()


def test_a_failed_request_ends_the_command_with_an_error_and_its_words(
    server: TritonServer, perf_analyzer: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"data": [image_request(b"hello")]}))
    app = Typer()
    app.command()(perf_run.main)
    options = [
        "--url",
        server.grpc_url,
        "--perf-analyzer",
        str(perf_analyzer),
        "--count",
        "2",
        "--output",
        str(tmp_path),
    ]
    done = CliRunner().invoke(app, ["smoke", *options, "--", "--input-data", str(bad)])
    assert done.exit_code == 1
    (report,) = tmp_path.glob("smoke-*/summary.md")
    assert "smoke-c1 failed, so there are no figures of it" in report.read_text()
    assert "image 0: it is not an image" in report.read_text()
