"""`perf.gpu`: what is compared, under which load, what it costs by arithmetic, and the tables made of it."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typer
from torch.utils.flop_counter import FlopCounterMode

from ocrvl.repository.options import Parallel
from perf.figures.data import Interval, Value, save
from perf.figures.table import render
from perf.gpu import (
    arithmetic,
    curves,
    encoder_figures,
    fault_figures,
    figures,
    load,
    pairs,
    report,
    roofline,
    stages,
    step_figures,
    systems,
    variants,
)
from perf.gpu.load import Measurement
from perf.gpu.step_probe import StepProbe
from perf.harness.vllm_server import encode_chat

TINY = arithmetic.Shape(
    vision_hidden=32,
    vision_layers=2,
    vision_intermediate=48,
    patch_size=14,
    merge_size=2,
    text_hidden=64,
    text_layers=2,
    text_intermediate=96,
    heads=4,
    kv_heads=2,
    head_dim=16,
    vocabulary=128,
)
TEXT = {
    "hidden_size": TINY.text_hidden,
    "num_hidden_layers": TINY.text_layers,
    "intermediate_size": TINY.text_intermediate,
    "num_attention_heads": TINY.heads,
    "num_key_value_heads": TINY.kv_heads,
    "head_dim": TINY.head_dim,
    "vocab_size": TINY.vocabulary,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
    "use_bias": False,
}
VISION = {
    "hidden_size": TINY.vision_hidden,
    "num_hidden_layers": TINY.vision_layers,
    "intermediate_size": TINY.vision_intermediate,
    "num_attention_heads": 2,
    "patch_size": TINY.patch_size,
    "spatial_merge_size": TINY.merge_size,
    "image_size": 56,
}


def make_model() -> Any:
    """PaddleOCR-VL of transformers in tiny shapes, without weights: only shapes are computed."""
    from transformers import PaddleOCRVLConfig, PaddleOCRVLForConditionalGeneration

    config = PaddleOCRVLConfig(text_config=TEXT, vision_config=VISION)
    # the attention whose products a counter sees
    config._attn_implementation = "eager"
    with torch.device("meta"):
        return PaddleOCRVLForConditionalGeneration(config).eval()


def count_flops(call: Any) -> int:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        call()
    return int(counter.get_total_flops())


def test_the_encoder_s_operations_are_those_that_torch_counts() -> None:
    model = make_model()
    layer = model.model.visual.vision_model.encoder.layers[0]
    patches, hidden = 24, TINY.vision_hidden
    states = torch.empty(patches, hidden, device="meta")
    angles = torch.empty(patches, hidden // 2, device="meta")
    bounds = torch.tensor([0, patches], dtype=torch.int32)
    counted = TINY.vision_layers * count_flops(
        lambda: layer(states, cu_seqlens=bounds, position_embeddings=(angles, angles))
    )
    embedding = model.model.visual.vision_model.embeddings.patch_embedding
    counted += count_flops(lambda: embedding(torch.empty(patches, 3, 14, 14, device="meta")))
    projector = model.model.projector
    merged = torch.empty(patches // 4, 4 * hidden, device="meta")
    counted += count_flops(lambda: projector.linear_2(projector.linear_1(merged)))
    assert arithmetic.encoder_flops(TINY, patches) == counted


def test_the_prompt_s_operations_are_those_that_torch_counts_but_for_pairs_that_see_nothing() -> None:
    model, tokens = make_model(), 10
    ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
    positions = torch.zeros(3, 1, tokens, dtype=torch.long, device="meta")
    text = model.model.language_model
    embeddings = text.embed_tokens(ids)
    counted = count_flops(lambda: text(inputs_embeds=embeddings, position_ids=positions, use_cache=False))
    head = 2 * TINY.text_hidden * TINY.vocabulary
    # eager attention multiplies what the mask hides
    hidden_pairs = tokens * tokens - tokens * (tokens + 1) // 2
    unseen = 4 * TINY.text_layers * TINY.heads * TINY.head_dim * hidden_pairs
    assert arithmetic.prefill_flops(TINY, tokens) == counted - unseen + head


def test_a_token_more_costs_as_much_as_the_longer_prompt() -> None:
    longer, shorter = arithmetic.prefill_flops(TINY, 8), arithmetic.prefill_flops(TINY, 7)
    head = 2 * TINY.text_hidden * TINY.vocabulary
    assert arithmetic.decode_flops(TINY, 7) == longer - shorter + head


def test_a_step_reads_the_weights_once_and_each_image_s_keys_and_values() -> None:
    alone, together = arithmetic.decode_bytes(TINY, 100, 1), arithmetic.decode_bytes(TINY, 100, 3)
    assert together - alone == 2 * 100 * TINY.kv_bytes
    assert TINY.kv_bytes == 2 * 2 * 2 * 16 * 2


def test_decoding_is_bound_by_the_slower_of_reading_and_computing() -> None:
    cost = arithmetic.ImageCost.of(TINY, 40, 20, 11)
    slow_memory = arithmetic.Device("slow memory", 1e30, 1.0)
    slow_compute = replace(slow_memory, flops=1.0, bytes_per_second=1e30)
    assert cost.seconds(TINY, slow_memory, 1)[2] == 10 * arithmetic.decode_bytes(TINY, 25, 1)
    assert cost.seconds(TINY, slow_compute, 1)[2] == cost.decode


@pytest.mark.parametrize(
    "name",
    [
        "ready",
        "served",
        "served:gpus=2:parallel=tensor",
        "ready:max_num_seqs=32:quantization=fp8",
        "openai:enforce_eager=true",
    ],
)
def test_a_variant_is_written_as_it_is_read(name: str) -> None:
    assert variants.parse_variant(name).name == name


def test_a_variant_s_settings_are_the_common_ones_and_its_own(tmp_path: Path) -> None:
    variant = variants.parse_variant("ready:max_num_seqs=32")
    settings = json.loads(variants.write_settings(variant, tmp_path, tiny=False).read_text())
    assert (settings["max_num_seqs"], settings["max_num_batched_tokens"]) == (32, 16384)
    other = json.loads(variants.write_settings(variants.parse_variant("openai"), tmp_path, tiny=False).read_text())
    assert {**other, "max_num_seqs": 32} == settings


def test_over_how_many_gpus_is_no_argument_of_the_engine(tmp_path: Path) -> None:
    spread = variants.parse_variant("served:gpus=2:parallel=tensor")
    assert (spread.gpus, spread.parallel) == (2, Parallel.TENSOR)
    assert (variants.parse_variant("served").gpus, variants.parse_variant("served").parallel) == (
        1,
        Parallel.DATA,
    )
    settings = json.loads(variants.write_settings(spread, tmp_path, tiny=True).read_text())
    assert not {"gpus", "parallel"} & set(settings)


def test_names_in_capitals_are_the_environment_s(tmp_path: Path) -> None:
    threads = variants.parse_variant("served:OMP_NUM_THREADS=4:max_num_seqs=2")
    assert threads.environment == {"OMP_NUM_THREADS": "4"}
    assert threads.engine_overrides == {"max_num_seqs": 2}


@pytest.mark.parametrize("text", ["line", "line@0", "poster@3", "page@1:twice", "page@1*"])
def test_a_load_that_makes_no_sense_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="SIZE@IN_FLIGHT"):
        load.parse_load(text, seconds=1, waves=1)


def test_texts_of_varied_length_have_their_size_s_on_average_and_neighbours_differ() -> None:
    lengths = load.parse_load("line@64:varied", seconds=1, waves=1).output_tokens
    assert (min(lengths), max(lengths), len(lengths)) == (15, 45, 64)
    assert sum(lengths) / len(lengths) == pytest.approx(30, abs=0.5)
    assert all(abs(first - second) > 5 for first, second in pairwise(lengths))


def test_a_load_is_named_as_it_is_read() -> None:
    names = ["line@1", "page@32:varied", "receipt@8:stream", "line@2:varied:stream"]
    assert [load.parse_load(f"{name}*3", seconds=1, waves=1).name for name in names] == names


def test_a_bare_variant_differs_from_the_engine_s_model_in_that_model_alone(tmp_path: Path) -> None:
    options = {}
    for system in ("engine", "bare"):
        variant = variants.parse_variant(system)
        settings = variants.write_settings(variant, tmp_path, tiny=True)
        options[system] = systems.prepare_server(variant, settings)
        assert options[system].models == ("paddleocr_vl",)
    engine, bare = (read_files(options[system].model_repository) for system in ("engine", "bare"))
    assert {path for path in engine if engine[path] != bare[path]} == {"paddleocr_vl/1/model.py"}
    laid = options["bare"].model_repository / "paddleocr_vl/1/model.py"
    assert laid.read_bytes() == Path("perf/baselines/direct_unary/model.py").read_bytes()


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a repository, without the lines that say where it was rendered."""
    return {
        str(path.relative_to(folder)): b"".join(
            line for line in path.read_bytes().splitlines(keepends=True) if not line.startswith(b"#")
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_load_keeps_as_many_requests_in_flight_as_it_says_and_counts_tokens() -> None:
    flying, most = 0, 0

    async def send(number: int, stream: bool) -> load.Answer:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0)
        flying -= 1
        return load.Answer(number, 100, first=0.5 if stream else None)

    measured = asyncio.run(load.run_load(send, load.Load("page", 3, stream=True, requests=8)))
    assert most == 3
    assert sorted(measured.tokens) == list(range(8))
    assert measured.prompt_tokens == [100] * 8
    assert len(measured.latencies) == len(measured.firsts) == 8


def test_a_request_to_vllm_s_server_asks_for_the_length_and_in_a_stream_for_the_usage() -> None:
    unary, stream = (json.loads(encode_chat(b"jpeg", 30, stream=stream)) for stream in (False, True))
    assert (unary["max_tokens"], unary["temperature"]) == (30, 0)
    assert "stream_options" not in unary
    assert stream["stream_options"] == {"include_usage": True}
    assert unary["messages"] == stream["messages"]


def measured(variant: str, number: int, images: int, tokens: str = "30") -> dict[str, Any]:
    return {
        "kind": "measured",
        "variant": variant,
        "load": "line@1",
        "round": number,
        "seconds": 2.0,
        "latencies": [0.1] * images,
        "firsts": [],
        "expected_tokens": [30],
        "tokens": {tokens: images},
        "prompt_tokens": {"201": images},
        "processor_seconds": {"client": 0.01 * images, "EngineCore": 0.0},
        "gpu": None,
    }


def test_ratios_are_of_rounds_that_both_have() -> None:
    first = [measured("a", number, 20) for number in (0, 1, 2)]
    second = [measured("b", number, 10) for number in (1, 2, 3)]
    assert report.pair_ratios(first, second) == [2.0, 2.0]


def test_the_tables_tell_rates_costs_and_lengths_that_differ() -> None:
    records = [measured("a", number, 20) for number in range(6)] + [measured("b", number, 10) for number in range(6)]
    text = report.render([*records, measured("b", 6, 1, tokens="29")])
    assert "| a | 10.00 | 300 |" in text
    assert "| a / b | 2.000 | 2.000 to 2.000 | 6 |" in text
    assert "| a | client 10.0 | 30 | 201 |" in text
    assert "29, 30 (1 not as expected)" in text


def test_curves_are_of_all_rounds_by_requests_in_flight(tmp_path: Path) -> None:
    slow = measured("a", 0, 10) | {"load": "line@32:stream", "firsts": [0.05] * 10}
    fast = measured("a", 1, 20) | {"load": "line@32:stream", "firsts": [0.15] * 30}
    records = [slow, fast, measured("a", 0, 4), measured("a", 0, 2) | {"load": "page@8"}, {"kind": "machine"}]
    drawn = curves.collect_curves(records)
    assert drawn == {
        "line": [curves.Point(1, 2.0, 0.1, 0.1, None), curves.Point(32, 7.5, 0.1, 0.1, 0.15)],
        "page": [curves.Point(8, 1.0, 0.1, 0.1, None)],
    }
    curves.draw_curves(drawn, "on a sheet of paper", tmp_path / "curves.svg")
    svg = (tmp_path / "curves.svg").read_text("utf-8")
    assert all(text in svg for text in ("lines", "pages", "first text, p50", "on a sheet of paper"))


def test_curves_of_a_variant_that_was_not_measured_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_text(json.dumps(measured("served", 0, 1)), "utf-8")
    with pytest.raises(typer.BadParameter, match="no measurement of openai"):
        curves.main(file, tmp_path / "curves.svg", "openai")


def test_a_run_becomes_figures_with_its_machine_and_command() -> None:
    machine = {"kind": "machine", "device": "H100", "cores": 16, "versions": {"vllm": "0.24.0"}, "date": "2026-11-30"}
    records = [measured("served", number, 20) for number in range(6)] + [measured("ready", n, 10) for n in range(6)]
    taken = figures.to_figures([machine | {"command": "pairs served ready"}, *records], "Which is faster?")
    assert (taken.machine, str(taken.date), taken.rounds) == ("H100, 16 CPU cores", "2026-11-30", 6)
    assert taken.number("images_per_second", system="served", workload="line", in_flight=1) == 10
    assert taken.number("ratio", system="served", over="ready") == 2
    assert "| line | equal | 1 | 10 | 5 | 2.00 (2.00 to 2.00) |" in render(
        taken, taken.tables["images-per-second"], "x.json"
    )
    other = machine | {"device": "H200"}
    for machines in ([], [machine, other]):
        with pytest.raises(ValueError, match=f"expected the records of one machine, found {len(machines)}"):
            figures.to_figures([*machines, *records], "Which is faster?")


def test_runs_in_one_file_and_in_several_add_up_to_their_rounds(tmp_path: Path) -> None:
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    machine = {"kind": "machine", "device": "H100", "cores": 16, "python": "3.12", "versions": {}, "tiny": False}
    once = [machine, measured("a", 0, 20), measured("a", 1, 20), measured("b", 0, 10), measured("b", 1, 10)]
    files[0].write_text("\n".join(map(json.dumps, once * 2)), "utf-8")
    files[1].write_text("\n".join(map(json.dumps, once)), "utf-8")
    records = [record for run, file in enumerate(files) for record in report.read_run(file, run)]
    assert "| a / b | 2.000 | 2.000 to 2.000 | 6 |" in report.render(records)


def test_a_variant_that_was_alone_says_so(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    machine = {"kind": "machine", "device": "H100", "cores": 16, "python": "3.12", "versions": {}, "tiny": False}
    records = [machine | {"alone": True}, measured("a", 0, 20), machine | {"alone": False}, measured("a", 0, 10)]
    file.write_text("\n".join(map(json.dumps, records)), "utf-8")
    text = report.render(report.read_run(file))
    assert "| a, alone | 10.00 |" in text
    assert "| a | 5.00 |" in text


def probed(count: int, requests: int, tokens: int) -> dict[str, Any]:
    return {"steps": [(0.004 * number, requests, tokens) for number in range(count)]}


def test_steps_become_figures_of_what_the_gpu_works_and_allows() -> None:
    generated = load.parse_load("line@32", seconds=0, waves=1)
    profiled = probed(10, 32, 32) | {"kernels": 2650, "busy_seconds": 0.01, "kinds": {"matrix products": 0.006}}
    mixed = load.parse_load("receipt@128:varied", seconds=0, waves=1)
    taken = step_figures.to_figures(
        [
            step_figures.Steps.of(generated, probed(21, 32, 32), profiled, None),
            step_figures.Steps.of(mixed, probed(21, 128, 512), profiled, 100.0),
            step_figures.Steps.of(mixed, probed(21, 128, 512), {}, 100.0),
        ],
        "ready",
    )
    rows = render(taken, taken.tables["steps"], "x.json")
    assert "| decoding alone | 32 | 21 | 32.0 | 4.00 ms | 4.00 ms | 1.00 ms | 265 | 25% |" in rows
    assert "| receipt | 128 | 21 | 512.0 | 4.00 ms | 4.00 ms | 1.00 ms | 265 | 25% | 100.0 | 400.0 |" in rows
    assert "| decoding alone | 32 | matrix products | 0.600 ms |" in render(taken, taken.tables["kernels"], "x.json")
    with pytest.raises(ValueError, match="expected steps of line@32, found 1"):
        step_figures.Steps.of(generated, probed(1, 32, 32), {}, None)


def test_a_probe_notes_the_steps_between_its_two_calls() -> None:
    class Worker(StepProbe):
        def execute_model(self, scheduled: Any) -> str:
            return f"{len(scheduled.num_scheduled_tokens)} requests"

    worker, step = Worker(), SimpleNamespace(num_scheduled_tokens={"a": 1, "b": 200})
    assert worker.execute_model(step) == "2 requests"
    worker.begin_steps(is_profiled=False)
    assert worker.execute_model(step) == "2 requests"
    worker.execute_model(SimpleNamespace(num_scheduled_tokens={}))
    ((_, *noted),) = worker.end_steps()["steps"]
    assert noted == [2, 201]
    worker.execute_model(step)
    assert len(worker.end_steps()["steps"]) == 1


def test_the_encoder_s_calls_become_medians_with_their_intervals() -> None:
    calls = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    results = [
        encoder_figures.Result("page", 4, 5040, [2 * one for one in calls], calls, (), 1e-3, 35 * 10**9),
        encoder_figures.Result(
            "line",
            1,
            704,
            calls[:2],
            calls[:2],
            [0.005, 0.01],
            1e-3,
            15 * 10**6,
            encoder_figures.Fp8Result([0.004], 0.02, 0.01),
            {"FP8": {"matrix products": 0.003, "attention": 0.001}},
        ),
    ]
    taken = encoder_figures.to_figures(results, 1e12, "bfloat16", 1e-4, 6)
    assert taken.rounds == 6
    assert "1.0e-04" in str(taken.conditions)
    (page,) = taken.find(workload="page")
    assert page["packed_ms"] == Interval(median=35, low=10, high=60)
    assert page["graphs_ms"] is None
    assert (taken.number("ratio", workload="page"), taken.number("of_peak", workload="page")) == (2, 1)
    assert (taken.number("graphs_ms", workload="line"), taken.number("ratio", workload="line")) == (7.5, 2)
    assert "| page | 4 | 5,040 |" in render(taken, taken.tables["encoder"], "x.json")
    assert "| 4.0 ms | 2.0% | 1.0% |" in render(taken, taken.tables["encoder"], "x.json")
    kernels = render(taken, taken.tables["kernels"], "x.json")
    assert "| line | 1 | FP8 | matrix products | 3.00 ms | 75% |" in kernels
    assert "page" not in kernels


def test_ceilings_become_figures_that_another_run_reads_the_device_from(tmp_path: Path) -> None:
    device = arithmetic.Device("H9 (measured)", 2e12, 3e9)
    cost = arithmetic.ImageCost.of(TINY, 40, 20, 11)
    taken = roofline.to_figures(TINY, {"line": cost}, [device, *roofline._DATA_SHEETS], [1, 32])
    seconds = sum(cost.seconds(TINY, device, 32))
    ceiling = taken.number("ceiling_per_second", device=device.name, workload="line", decoded_together=32)
    assert ceiling == pytest.approx(1 / seconds, rel=1e-3)
    for table in taken.tables.values():
        assert render(taken, table, "x.json")
    assert roofline.read_devices(save("peaks", taken, tmp_path)) == [device]
    sheets = roofline.to_figures(TINY, {"line": cost}, roofline._DATA_SHEETS, [1])
    with pytest.raises(ValueError, match="expected a device that was measured"):
        roofline.read_devices(save("sheets", sheets, tmp_path))


def test_faults_become_figures_with_a_table_for_each_kind_that_there_is() -> None:
    killed: dict[str, Value] = {"engines": "one of 2", "in_flight": 32, "failed": 12, "read_again_seconds": None}
    case: dict[str, Value] = {"case": "GPU shared", "seconds": 12.34, "message": "no memory"}
    both = fault_figures.to_figures([killed, case])
    assert set(both.tables) == {"kill", "start"}
    assert "| GPU shared | 12 s | no memory |" in render(both, both.tables["start"], "x.json")
    assert set(fault_figures.to_figures([killed]).tables) == {"kill"}


METRICS = """# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="preprocess",version="1"}} {count}
# TYPE nv_inference_request_duration_us counter
nv_inference_request_duration_us{{model="preprocess",version="1"}} {microseconds}
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{{replica="a",le="+Inf"}} {count}
vllm:time_to_first_token_seconds_count{{replica="a"}} {count}
vllm:time_to_first_token_seconds_sum{{replica="a"}} {seconds}
# TYPE vllm:request_success counter
vllm:request_success_total{{replica="a",finished_reason="stop"}} {count}
vllm:request_success_total{{replica="a",finished_reason="length"}} 1
"""


def test_where_a_request_s_time_goes_is_what_a_server_has_counted_meanwhile() -> None:
    before = stages.parse_totals(METRICS.format(count=4, microseconds=4000, seconds=1.0))
    after = stages.parse_totals(METRICS.format(count=6, microseconds=8000, seconds=1.5))
    assert after.images_since(before) == {"a": 2}
    assert after.means_since(before) == {"preprocess": 0.002, "engine, first token": 0.25}
    assert after.means_since(after) == {}
    spent = [measured("served", number, 20) | {"stages": after.means_since(before)} for number in range(2)]
    assert "| served | engine, first token | 250.0 |" in report.render(spent)


def test_alone_a_variant_is_stopped_before_the_next_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    class FakeWorker:
        def __init__(self, variant: variants.Variant, settings: Path, log: Path) -> None:
            self.variant, self.pid = variant, os.getpid()
            happened.append(f"start {variant.name}")

        def wait_until_ready(self) -> float:
            return 1.0

        def measure(self, given: load.Load) -> Measurement:
            happened.append(f"{self.variant.name} {given.in_flight}")
            return Measurement(1.0, latencies=[0.5], tokens=[4], prompt_tokens=[20], stages={"preprocess": 0.01})

        def begin_stop(self) -> None:
            """Nothing runs."""

        def stop(self) -> None:
            happened.append(f"stop {self.variant.name}")

    monkeypatch.setattr(pairs, "Worker", FakeWorker)
    machine = {"device": "H9", "cores": 1, "python": "3.12", "versions": {}}
    monkeypatch.setattr(pairs, "_describe_machine", lambda: machine)
    chosen = ["served:gpus=2", "ready"]
    pairs.main(chosen, tmp_path, loads="line@4:each", rounds=1, seconds=1, waves=1, budget=60, alone=True, tiny=True)
    assert happened == [
        *("start served:gpus=2", "served:gpus=2 8", "served:gpus=2 8", "stop served:gpus=2"),
        *("start ready", "ready 4", "ready 4", "stop ready"),
    ]
    text = report.render(report.read_run(tmp_path / "results.jsonl"))
    assert "| served:gpus=2, alone | preprocess | 10.0 |" in text
