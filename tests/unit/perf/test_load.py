"""`python -m perf load` and what it is made of, without a server: profiles, perf_analyzer's files, the report."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import stat
import struct
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ocrvl.wire import Model
from perf.conditions import Conditions
from perf.images import SizeClass, draw_files
from perf.load import analyzer, profiles
from perf.load.analyzer import (
    AnalyzerNotFound,
    MeasurementFailed,
    find_perf_analyzer,
    measure,
    parse_export,
    parse_report,
)
from perf.load.engine_time import EngineCounts
from perf.load.input_data import image_request, patches_request
from perf.load.measurement import EngineTime, Failure, FirstToken, Latency, Measurement, StageTime
from perf.load.plots import draw_plots
from perf.load.profiles import Load, ProfileInvalid, Run, load_profile, parse_run, profile_names
from perf.load.report import time_parts, write_csv, write_markdown

# what perf_analyzer 2.60 wrote, with --verbose-csv, about `ocr` and its steps
ENSEMBLE = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,\
Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency,Avg latency,\
request/response,response wait
2,3.04174,14,584487,3,144,7126,750,7,590178,745377,769923,911062,592535,21,592492
"""
HEADER = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,"
    "Server Compute Infer,Server Compute Output,Client Recv\n"
)
COMPOSING = {
    "paddleocr_vl": f"{HEADER}2,3.30624,0,3,315,85,1251,7,0\n",
    "preprocess": f"{HEADER}2,3.30624,0,2,280,61,6113,722,0\n",
}
METRICS = """\
# TYPE ocrvl_request_seconds_count counter
ocrvl_request_seconds_count{{replica="paddleocr_vl_0_0"}} {count}
# TYPE ocrvl_request_seconds_sum counter
ocrvl_request_seconds_sum{{replica="paddleocr_vl_0_0"}} {total}
# TYPE vllm:time_to_first_token_seconds_count counter
vllm:time_to_first_token_seconds_count{{model_name="nano",replica="paddleocr_vl_0_0"}} {count}
# TYPE vllm:time_to_first_token_seconds_sum counter
vllm:time_to_first_token_seconds_sum{{model_name="nano",replica="paddleocr_vl_0_0"}} {first}
# TYPE vllm:request_queue_time_seconds_count counter
vllm:request_queue_time_seconds_count{{model_name="nano",replica="paddleocr_vl_0_0"}} {count}
# TYPE vllm:request_queue_time_seconds_sum counter
vllm:request_queue_time_seconds_sum{{model_name="nano",replica="paddleocr_vl_0_0"}} {queue}
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{model_name="nano",replica="paddleocr_vl_0_0"}} 0
"""
RUN = Run("grpc", ("-m", "ocr", "-i", "grpc"), SizeClass.LINE, Load.CONCURRENCY, (1, 2))
MEASURED = Measurement(
    RUN,
    2,
    3.04,
    Latency(592.5, 590.2, 745.4, 769.9, 911.1),
    {"preprocess": StageTime(0.3, 6.9), "paddleocr_vl": StageTime(0.3, 1.3)},
    EngineTime(0.5, 100.0, 450.0),
    FirstToken(107.0, 120.0, 130.0, 10.5),
)
HERE = Conditions(datetime(2026, 11, 24, tzinfo=UTC), "a CPU", 2, (), {"triton": "2.51.0"}, "nano")


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_that_ships_asks_a_model_that_exists(name: str) -> None:
    for run in load_profile(name).runs:
        assert run.model in set(Model)
        assert run.protocol in ("grpc", "http")
        # what the command adds, or what would say the load twice
        assert not {"-u", "-f", "--input-data", "--concurrency-range", "--request-rate-range"} & set(run.arguments)


@pytest.mark.parametrize("path", sorted(profiles.FOLDER.rglob("*.args")), ids=lambda path: path.stem)
def test_by_hand_a_profile_has_the_same_arguments(path: Path) -> None:
    command = f"grep -v '^#' {path} | xargs printf '%s\\n'"
    by_hand = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout.split("\n")
    assert tuple(by_hand[:-1]) == parse_run(path.stem, path.read_text()).arguments


def test_a_folder_is_a_profile_of_several_runs() -> None:
    assert {run.model for run in load_profile("stages").runs} == {Model.OCR, Model.PREPROCESS, Model.ENGINE}


def test_what_the_readme_lists_is_what_there_is() -> None:
    readme = (profiles.FOLDER.parents[1] / "README.md").read_text("utf-8")
    _, _, section = readme.partition("\n## Load tests\n")
    section, _, _ = section.partition("\n## ")
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`(.+?)`", row)) == profile_names()


def test_comments_are_left_out_and_directives_are_read() -> None:
    run = parse_run("x", "# why\n#: images a4-150\n#: request-rate 0.5 2\n\n-m ocr\n  # more\n-i http\n--async\n")
    assert run == Run("x", ("-m", "ocr", "-i", "http", "--async"), SizeClass.A4_150, Load.REQUEST_RATE, (0.5, 2))
    assert run.load_arguments(0.5) == ("--request-rate-range", "0.5:0.5")
    assert run.label(0.5) == "x-r0.5"


GOOD = "#: images line\n#: concurrency 1\n-m ocr\n-i grpc\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD.replace("-m ocr", ""), "-m and its value"),
        (GOOD.replace("-i grpc", "-i"), "-i and its value"),
        (GOOD.replace("concurrency 1", "concurrency one"), "'one'"),
        (GOOD.replace("concurrency 1", "concurrency"), "numbers above 0"),
        (GOOD.replace("concurrency 1", "concurrency 0"), "numbers above 0"),
        (GOOD.replace("#: concurrency 1", ""), "one directive of concurrency and request-rate"),
        (GOOD + "#: request-rate 1\n", "one directive of"),
        (GOOD.replace("line", "poster"), "one of line, receipt, a4-150, a4-300"),
        (GOOD + "#: image line\n", "unknown directive image"),
    ],
)
def test_a_profile_that_cannot_be_run_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(ProfileInvalid, match=reason):
        parse_run("x", text)


def test_a_profile_that_does_not_exist_is_answered_with_those_that_are() -> None:
    with pytest.raises(ProfileInvalid, match="grpc, http, poisson, smoke"):
        load_profile("nope")


def test_figures_are_read_in_milliseconds_with_the_time_of_each_step() -> None:
    found = parse_report(RUN, 2, ENSEMBLE, COMPOSING)
    assert found.throughput == 3.04174
    assert found.latency == Latency(mean=592.535, p50=590.178, p90=745.377, p95=769.923, p99=911.062)
    assert vars(found.stages["paddleocr_vl"]) == pytest.approx({"queue": 0.315, "compute": 1.343})
    assert vars(found.stages["preprocess"]) == pytest.approx({"queue": 0.28, "compute": 6.896})


def test_a_model_without_steps_has_its_own_time() -> None:
    assert vars(parse_report(RUN, 2, ENSEMBLE, {}).stages["ocr"]) == pytest.approx({"queue": 0.003, "compute": 8.02})


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (ENSEMBLE.replace("2,3.04174", "2,0"), "recorded no requests"),
        (ENSEMBLE.splitlines()[0], "found 0"),
        ("", "found 0"),
    ],
)
def test_no_figures_are_a_failure(report: str, reason: str) -> None:
    with pytest.raises(MeasurementFailed, match=reason):
        parse_report(RUN, 2, report, {})


def export(*responses: list[int]) -> str:
    requests = [{"timestamp": 1_000_000, "response_timestamps": times} for times in responses]
    return json.dumps({"experiments": [{"experiment": {}, "requests": requests}]})


def test_the_time_to_the_first_token_leaves_out_the_empty_last_response() -> None:
    found = parse_export(export([3_000_000, 5_000_000, 7_000_000, 9_000_000]))
    assert found == FirstToken(p50=2.0, p95=2.0, p99=2.0, between=2.0)


def test_only_empty_responses_are_a_failure() -> None:
    with pytest.raises(MeasurementFailed, match="no responses"):
        parse_export(export([3_000_000]))


def counts(count: int, total: float, first: float, queue: float) -> EngineCounts:
    return EngineCounts.parse(METRICS.format(count=count, total=total, first=first, queue=queue))


def test_the_engine_s_time_is_of_what_was_read_in_between() -> None:
    earlier, later = counts(10, 100, 50, 5), counts(14, 104, 52, 5.4)
    assert vars(later.since(earlier)) == pytest.approx({"waiting": 100, "first_token": 400, "other_tokens": 500})
    assert later.checkpoint == "nano"
    assert later.since(later) is None


def test_the_parts_of_a_request_s_time_add_up_to_its_latency() -> None:
    for one in (MEASURED, parse_report(RUN, 2, ENSEMBLE, COMPOSING)):
        assert sum(time_parts(one).values()) == pytest.approx(one.latency.mean)


def fake_analyzer(folder: Path, script: str) -> Path:
    path = folder / "perf_analyzer"
    path.write_text(f"#!/bin/bash\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_measurement_is_what_the_files_of_perf_analyzer_say(tmp_path: Path) -> None:
    files = {"grpc-c2.csv": ENSEMBLE} | {f"{model}_v1.grpc-c2.csv": text for model, text in COMPOSING.items()}
    script = "".join(f"cat > {name} <<'EOF'\n{text}EOF\n" for name, text in files.items())
    binary = fake_analyzer(tmp_path, script + 'printf "%s " "$@" > arguments\n')
    found = measure(binary, RUN, 2, url="host:1", data=Path("/data.json"), folder=tmp_path, more=["--async"])
    assert found == parse_report(RUN, 2, ENSEMBLE, COMPOSING)
    assert (tmp_path / "arguments").read_text() == (
        "-m ocr -i grpc --concurrency-range 2:2 -u host:1 --input-data /data.json --verbose-csv -f grpc-c2.csv --async "
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'WARNING: slow'; echo 'Thread [1] had error: image 0: no'; exit 99", "with 99: Thread .1. had error"),
        ("echo 'nothing to say'", "wrote no figures: nothing to say"),
    ],
)
def test_a_perf_analyzer_without_figures_is_quoted(tmp_path: Path, script: str, reason: str) -> None:
    with pytest.raises(MeasurementFailed, match=reason):
        measure(fake_analyzer(tmp_path, script), RUN, 2, url="host:1", data=Path("/data.json"), folder=tmp_path)


def test_perf_analyzer_is_looked_for_where_it_is_named_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / name for name in ("given", "environment", "path")]
    for folder in folders:
        folder.mkdir()
    given, environment, path = (fake_analyzer(folder, "") for folder in folders)
    monkeypatch.setenv("PATH", str(path.parent))
    monkeypatch.delenv(analyzer.ENVIRONMENT, raising=False)
    assert find_perf_analyzer() == path
    monkeypatch.setenv(analyzer.ENVIRONMENT, str(environment))
    assert find_perf_analyzer() == environment
    assert find_perf_analyzer(given) == given


def test_where_there_is_no_perf_analyzer_it_is_said_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(analyzer.ENVIRONMENT, raising=False)
    with pytest.raises(AnalyzerNotFound, match=r"--perf-analyzer or PERF_ANALYZER.*pip install perf-analyzer"):
        find_perf_analyzer()
    with pytest.raises(AnalyzerNotFound, match="nothing-here cannot be run"):
        find_perf_analyzer(tmp_path / "nothing-here")


@pytest.mark.parametrize(
    ("size_class", "format_name", "size"),
    [
        (SizeClass.LINE, "PNG", None),
        (SizeClass.RECEIPT, "PNG", None),
        (SizeClass.A4_150, "JPEG", (1240, 1754)),
        (SizeClass.A4_300, "JPEG", (2481, 3507)),
    ],
)
def test_images_differ_and_a_seed_draws_them_again(
    size_class: SizeClass, format_name: str, size: tuple[int, int] | None
) -> None:
    first, second = islice(draw_files(size_class, seed=1), 2)
    assert first != second
    assert next(draw_files(size_class, seed=1)) == first
    image = Image.open(io.BytesIO(first))
    assert image.format == format_name
    assert size in (None, image.size)


def test_a_document_is_sent_to_its_own_model() -> None:
    data = next(draw_files(SizeClass.DOCUMENT, seed=1))
    assert next(draw_files(SizeClass.DOCUMENT, seed=1)) == data != next(draw_files(SizeClass.DOCUMENT, seed=2))
    sent = json.loads(json.dumps(image_request(data, max_tokens=5)))
    assert set(sent) == {"file", "options"}
    assert base64.b64decode(sent["options"]["content"]["b64"])[4:] == b'{"max_new_tokens": 5}'


def test_an_image_is_sent_as_one_serialized_element() -> None:
    sent = json.loads(json.dumps(image_request(b"abc")))
    assert base64.b64decode(sent["image"]["content"]["b64"]) == struct.pack("<I", 3) + b"abc"
    assert sent["image"]["shape"] == [1]


def test_a_bound_of_the_text_is_sent_as_an_option_and_stands_in_the_report(tmp_path: Path) -> None:
    sent = json.loads(json.dumps(image_request(b"abc", max_tokens=64)))
    assert base64.b64decode(sent["options"]["content"]["b64"])[4:] == b'{"max_tokens": 64}'
    write_csv(tmp_path / "summary.csv", [replace(MEASURED, run=replace(RUN, max_tokens=64))], [])
    (row,) = csv.DictReader(io.StringIO((tmp_path / "summary.csv").read_text()))
    assert row["images"] == "line, 64 tokens"


def test_patches_are_sent_raw_and_without_their_batch_dimension() -> None:
    patches = np.arange(8 * 588, dtype=np.uint8).reshape(1, 8, 588)
    tasks = np.array([[b"ocr"]], dtype=object)
    sent = json.loads(json.dumps(patches_request({"patches": patches, "tasks": tasks})))
    assert base64.b64decode(sent["patches"]["content"]["b64"]) == patches.tobytes()
    assert sent["patches"]["shape"] == [8, 588]
    assert base64.b64decode(sent["tasks"]["content"]["b64"]) == struct.pack("<I", 3) + b"ocr"
    assert sent["tasks"]["shape"] == [1]


def test_the_summary_has_a_row_for_each_measurement_and_each_failure(tmp_path: Path) -> None:
    write_csv(tmp_path / "summary.csv", [MEASURED], [Failure(RUN, 4, "it broke")])
    measured, failed = csv.DictReader(io.StringIO((tmp_path / "summary.csv").read_text()))
    assert (measured["in flight"], measured["images_per_second"], measured["error"]) == ("2", "3.04", "")
    assert (measured["preprocess_compute_ms"], measured["engine_first_token_ms"]) == ("6.9", "100.0")
    assert (failed["in flight"], failed["images_per_second"], failed["error"]) == ("4", "", "it broke")


def markdown(folder: Path, conditions: Conditions, *failures: Failure) -> str:
    write_markdown(folder / "summary.md", "grpc", conditions, [MEASURED], failures, [folder / "load.svg"])
    return (folder / "summary.md").read_text()


def test_a_report_says_what_it_was_taken_on_and_what_it_is_not(tmp_path: Path) -> None:
    text = markdown(tmp_path, HERE)
    assert text.startswith("# grpc: nano checkpoint, 2 CPU cores, no GPU, 2026-11-24\n")
    assert "nothing about the speed of PaddleOCR-VL" in text
    assert "no GPU in this machine" in text
    assert "| machine | a CPU, 2 CPU cores, no GPU |" in text
    assert "![load](load.svg)" in text


def test_a_report_of_a_server_elsewhere_does_not_call_this_machine_the_server_s(tmp_path: Path) -> None:
    elsewhere = Conditions(HERE.date, "a CPU", 2, (), {}, "PaddlePaddle/PaddleOCR-VL-1.6", server="far:8001")
    text = markdown(tmp_path, elsewhere)
    assert text.startswith("# grpc: PaddlePaddle/PaddleOCR-VL-1.6 checkpoint, server at far:8001, 2026-11-24\n")
    assert "what the server runs on is not known here" in text
    assert "no GPU in this machine" not in text


def test_a_report_says_that_other_work_was_running(tmp_path: Path) -> None:
    assert "Other work was running" not in markdown(tmp_path, replace(HERE, load_before=0.4))
    assert "(load average 0.6 before the run)" in markdown(tmp_path, replace(HERE, load_before=0.6))


def test_a_report_names_what_failed(tmp_path: Path) -> None:
    assert "**grpc-c4 failed, so there are no figures of it**: it broke" in markdown(
        tmp_path, HERE, Failure(RUN, 4, "it broke")
    )


def test_every_plot_says_what_it_was_taken_on(tmp_path: Path) -> None:
    drawn = draw_plots([MEASURED, MEASURED], HERE.caption, tmp_path)
    assert [path.name for path in drawn] == ["load.svg", "first-token.svg", "time.svg"]
    assert all(HERE.caption in path.read_text() for path in drawn)


def test_nothing_measured_is_nothing_drawn(tmp_path: Path) -> None:
    assert draw_plots([], HERE.caption, tmp_path) == []


def test_model_analyzer_s_configuration_names_models_that_exist() -> None:
    config = yaml.safe_load(Path("perf/load/model_analyzer.yaml").read_text())
    named = config["profile_models"].keys() | config["ensemble_composing_models"].keys()
    assert named == {Model.OCR, Model.PREPROCESS, Model.ENGINE}
    assert Path(config["model_repository"], "ocr", "config.pbtxt").is_file()
