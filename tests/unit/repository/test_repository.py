"""`ocrvl repository`: what is rendered for which devices, and what is refused, by the option's name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup
from typer.testing import CliRunner, Result

from ocrvl.checkpoint import nano_path
from ocrvl.engine_settings import EngineSettings
from ocrvl.imaging import decoder_process
from ocrvl.launcher.interfaces import Interface, models_of
from ocrvl.launcher.locate import find_model_repository
from ocrvl.models.document import pdfium
from ocrvl.repository.checks import Checkpoint, CheckpointShape
from ocrvl.repository.folder import MARKER
from ocrvl.repository.memory import DECODER_BYTES, request_bytes
from ocrvl.repository.options import MAX_NUM_SEQS, Device, OptionRefused, Parallel, RepositoryOptions, parse_gpus
from ocrvl.repository.plan import STREAM_CALLS, Plan
from ocrvl.repository.render import render_files
from ocrvl.wire import Model
from ocrvl_cli import app

SHIPPED = find_model_repository()
NANO = Checkpoint("nano", CheckpointShape.from_file(nano_path() / "config.json"))
PADDLEOCR_VL = {
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "intermediate_size": 3072,
    "vocab_size": 103_424,
    "max_position_embeddings": 131_072,
    "vision_config": {"num_attention_heads": 16, "intermediate_size": 4304},
}
"""The numbers of the first release, whose text model's stand at the top of its `config.json`."""


def plan(cores: int = 8, checkpoint: Checkpoint = NANO, **options: Any) -> Plan:
    return Plan(RepositoryOptions("nano", **options), checkpoint, tuple(range(cores)))


def on_cpu(engines: int, cores: int = 8, **options: Any) -> Plan:
    return plan(cores, device=Device.CPU, engines=engines, **options)


def write_shape(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def parse(content: bytes) -> Any:
    return text_format.Parse(content.decode(), ModelConfig())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with every model: what is shipped, and bare configurations for the rest."""
    folder = tmp_path / "source"
    for model in Model:
        version = folder / model / "1"
        version.mkdir(parents=True)
        (version / "model.py").write_text(f"# {model}\n", "utf-8")
        shipped = SHIPPED / model / "config.pbtxt"
        text = shipped.read_text("utf-8") if shipped.is_file() else f'name: "{model}" backend: "python"'
        (folder / model / "config.pbtxt").write_text(text, "utf-8")
    (folder / "paddleocr_vl/1/model.json").write_text("{}", "utf-8")
    cache = folder / "ocr/1/__pycache__"
    cache.mkdir()
    (cache / "model.cpython-311.pyc").write_bytes(b"")
    return folder


def config(rendered: Plan, model: Model, source: Path) -> Any:
    return parse(render_files(rendered, source, "header")[PurePosixPath(model, "config.pbtxt")])


def instances(rendered: Plan, model: Model, source: Path) -> list[tuple[str, int, list[int]]]:
    groups = config(rendered, model, source).instance_group
    return [(ModelInstanceGroup.Kind.Name(group.kind), group.count, list(group.gpus)) for group in groups]


def parameter(rendered: Plan, name: str, source: Path) -> str | None:
    parameters = config(rendered, Model.ENGINE, source).parameters
    return parameters[name].string_value if name in parameters else None


def run(out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["repository", str(out), *arguments])


def refusal(out: Path, *arguments: str) -> str:
    """What the command says on standard error when it refuses."""
    done = run(out, *arguments)
    assert done.exit_code == 2, done.output
    return done.stderr


# Engines


def test_data_parallel_puts_one_engine_on_each_gpu(source: Path) -> None:
    rendered = plan(gpus=(0, 2, 3))
    assert instances(rendered, Model.ENGINE, source) == [("KIND_GPU", 1, [0, 2, 3])]
    assert parameter(rendered, "gpus", source) is None
    assert "tensor_parallel_size" not in rendered.engine_args


def test_tensor_parallel_is_one_instance_that_is_given_its_gpus(source: Path) -> None:
    rendered = plan(gpus=(1, 3), parallel=Parallel.TENSOR)
    assert instances(rendered, Model.ENGINE, source) == [("KIND_MODEL", 1, [])]
    assert parameter(rendered, "gpus", source) == "1,3"
    assert rendered.engine_args["tensor_parallel_size"] == 2
    assert rendered.engines == 1


def test_one_gpu_is_the_same_in_both_ways(source: Path) -> None:
    data, tensor = plan(gpus=(5,)), plan(gpus=(5,), parallel=Parallel.TENSOR)
    assert render_files(data, source, "") == render_files(tensor, source, "")
    assert instances(data, Model.ENGINE, source) == [("KIND_GPU", 1, [5])]


@pytest.mark.parametrize(("engines", "share"), [(1, None), (2, 0.45), (3, 0.3), (4, 0.22)])
def test_engines_on_one_gpu_share_its_memory_out(engines: int, share: float | None, source: Path) -> None:
    rendered = plan(16, gpus=(0, 1), engines=engines)
    assert instances(rendered, Model.ENGINE, source) == [("KIND_GPU", engines, [0, 1])]
    assert rendered.engines == 2 * engines
    assert rendered.engine_args.get("gpu_memory_utilization") == share
    assert instances(rendered, Model.PREPROCESS, source) == [("KIND_CPU", 16 - 2 * engines, [])]
    assert ("on each GPU" in rendered.placement) is (engines > 1)


def test_a_share_of_the_memory_that_was_asked_for_stays(source: Path) -> None:
    assert plan(engines=2, gpu_memory_utilization=0.3).engine_args["gpu_memory_utilization"] == 0.3


def test_the_first_gpu_is_used_where_none_is_named(source: Path) -> None:
    assert instances(plan(), Model.ENGINE, source) == [("KIND_GPU", 1, [0])]


def test_engines_on_a_cpu_share_its_cores_out(source: Path) -> None:
    rendered = on_cpu(3)
    assert instances(rendered, Model.ENGINE, source) == [("KIND_CPU", 3, [])]
    assert parameter(rendered, "cpu_cores", source) == "0-1|2-4|5-7"
    assert "tensor_parallel_size" not in rendered.engine_args


def test_ranks_on_a_cpu_share_its_cores_out(source: Path) -> None:
    rendered = on_cpu(2, 2, parallel=Parallel.TENSOR)
    assert instances(rendered, Model.ENGINE, source) == [("KIND_MODEL", 1, [])]
    assert parameter(rendered, "cpu_cores", source) == "0|1"
    assert parameter(rendered, "gpus", source) is None
    assert rendered.engine_args["tensor_parallel_size"] == 2


def test_cores_that_are_not_in_a_row_are_listed_apart() -> None:
    options = RepositoryOptions("nano", device=Device.CPU, engines=2)
    assert Plan(options, NANO, (9, 0, 1, 3, 8)).cpu_cores == "0-1|3,8-9"


def test_one_engine_on_a_cpu_is_left_to_bind_its_own_threads(source: Path) -> None:
    rendered = on_cpu(1)
    assert instances(rendered, Model.ENGINE, source) == [("KIND_CPU", 1, [])]
    assert parameter(rendered, "cpu_cores", source) is None


def test_one_engine_on_a_cpu_has_the_settings_of_the_shipped_repository() -> None:
    assert on_cpu(1).engine_args == json.loads((SHIPPED / "paddleocr_vl/1/model.json").read_text("utf-8"))


def test_the_engine_s_arguments_are_those_that_were_given() -> None:
    args = plan(max_num_seqs=8, max_model_len=2048, dtype="float16", gpu_memory_utilization=0.5).engine_args
    assert {key: args[key] for key in ("max_num_seqs", "max_model_len", "dtype", "gpu_memory_utilization")} == {
        "max_num_seqs": 8,
        "max_model_len": 2048,
        "dtype": "float16",
        "gpu_memory_utilization": 0.5,
    }


def test_other_engine_arguments_are_added_and_win(tmp_path: Path) -> None:
    words = ("nnodes=2", "tensor_parallel_size=4", "master_addr=ocr-0.ocr", 'compilation_config={"level": 0}')
    assert (
        run(tmp_path, "--gpus", "0,1", "--parallel", "tensor", *[f"--engine-arg={word}" for word in words]).exit_code
        == 0
    )
    written = json.loads((tmp_path / "paddleocr_vl/1/model.json").read_text("utf-8"))
    assert {
        name: written[name] for name in ("nnodes", "tensor_parallel_size", "master_addr", "compilation_config")
    } == {
        "nnodes": 2,
        "tensor_parallel_size": 4,
        "master_addr": "ocr-0.ocr",
        "compilation_config": {"level": 0},
    }


def test_the_share_of_a_gpu_s_memory_is_vllm_s_own_unless_given() -> None:
    assert "gpu_memory_utilization" not in plan().engine_args


@pytest.mark.parametrize("device", Device)
def test_the_most_sequences_do_not_exceed_the_tokens_of_a_step(device: Device) -> None:
    args = plan(device=device, max_num_seqs=MAX_NUM_SEQS).engine_args
    assert args["max_num_batched_tokens"] >= args["max_num_seqs"]


def test_sequences_are_no_longer_than_the_checkpoint_s_unless_unknown() -> None:
    assert plan().engine_args["max_model_len"] == 4096
    assert plan(checkpoint=Checkpoint("a/b", None)).engine_args["max_model_len"] == 8192


# Sizes


@pytest.mark.parametrize(
    ("cores", "gpus", "wanted"), [(8, 1, 7), (8, 4, 4), (4, 4, 1), (2, 4, 1), (17, 1, 16), (128, 1, 16)]
)
def test_preprocessing_has_the_cores_that_engines_leave(cores: int, gpus: int, wanted: int, source: Path) -> None:
    rendered = plan(cores, gpus=tuple(range(gpus)))
    assert instances(rendered, Model.PREPROCESS, source) == [("KIND_CPU", wanted, [])]


def test_preprocessing_has_the_instances_that_were_asked_for(source: Path) -> None:
    assert instances(plan(preprocess_instances=40), Model.PREPROCESS, source) == [("KIND_CPU", 40, [])]


@pytest.mark.parametrize(("sequences", "gpus"), [(1, 1), (21, 1), (22, 1), (64, 1), (64, 4), (256, 8)])
def test_streaming_instances_are_just_enough_to_keep_the_engines_full(sequences: int, gpus: int, source: Path) -> None:
    rendered = plan(16, gpus=tuple(range(gpus)), max_num_seqs=sequences)
    [(kind, count, _)] = instances(rendered, Model.STREAM, source)
    calls = gpus * (sequences + sequences // 8)
    assert kind == "KIND_CPU"
    assert count * STREAM_CALLS >= calls > (count - 1) * STREAM_CALLS


def test_the_queue_holds_twice_what_the_engines_read_at_a_time(source: Path) -> None:
    def queued(rendered: Plan) -> int:
        size = config(rendered, Model.PREPROCESS, source).dynamic_batching.default_queue_policy.max_queue_size
        return int(size)

    assert queued(plan(gpus=(0, 1), max_num_seqs=32)) == 128
    assert queued(plan(gpus=(0, 1), max_num_seqs=32, parallel=Parallel.TENSOR)) == 64
    assert queued(plan(queue_size=7)) == 7


def test_the_queue_s_timeout_is_written_in_microseconds_and_absent_unless_given(source: Path) -> None:
    shipped = parse((source / "preprocess/config.pbtxt").read_bytes()).dynamic_batching.default_queue_policy
    rendered = config(plan(queue_timeout_seconds=2.5), Model.PREPROCESS, source).dynamic_batching.default_queue_policy
    unset = config(plan(), Model.PREPROCESS, source).dynamic_batching.default_queue_policy
    assert rendered.default_timeout_microseconds == 2_500_000
    assert unset.default_timeout_microseconds == shipped.default_timeout_microseconds


def test_bounds_of_requests_reach_every_model_that_has_them(source: Path) -> None:
    bounds: dict[str, Any] = {
        "max_request_bytes": 2**24,
        "max_file_bytes": 2**26,
        "max_documents": 3,
        "document_queue_size": 5,
    }
    rendered = plan(**bounds)

    def parameter(model: Model, name: str) -> int:
        return int(config(rendered, model, source).parameters[name].string_value)

    assert parameter(Model.PREPROCESS, "max_request_bytes") == 2**24
    assert [parameter(model, "max_image_bytes") for model in (Model.PREPROCESS, Model.LAYOUT)] == [2**24] * 2
    for model in (Model.DOCUMENT, Model.DOCUMENT_STREAM):
        assert [parameter(model, name) for name in ("max_file_bytes", "max_documents")] == [2**26, 3]
        assert config(rendered, model, source).dynamic_batching.default_queue_policy.max_queue_size == 5


def test_what_processes_that_open_files_may_take_is_what_they_are_held_to() -> None:
    assert decoder_process.MEMORY_BYTES == pdfium.MEMORY_BYTES == DECODER_BYTES


def test_priorities_that_are_asked_for_have_small_queues_with_the_same_rules(source: Path) -> None:
    batching = config(plan(queue_size=800, queue_timeout_seconds=2), Model.PREPROCESS, source).dynamic_batching
    assert sorted(batching.priority_queue_policy) == [1, 3]
    for policy in batching.priority_queue_policy.values():
        assert policy.max_queue_size == 100
        policy.max_queue_size = 800
        assert policy == batching.default_queue_policy


def test_every_queue_of_the_repository_has_an_end(source: Path) -> None:
    for model in Model:
        found = parse((source / model / "config.pbtxt").read_bytes())
        assert not found.HasField("dynamic_batching") or found.dynamic_batching.default_queue_policy.max_queue_size


def test_memory_for_requests_grows_with_each_of_its_bounds(source: Path, tmp_path: Path) -> None:
    def held(**bounds: Any) -> int:
        for path, content in render_files(plan(**bounds), source, "").items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        return sum(request_bytes(tmp_path).values())

    less = {"queue_size": 8, "document_queue_size": 2, "max_documents": 2, "max_request_bytes": 2**20}
    least = held(**less, max_file_bytes=2**20)
    for name in less:
        assert held(**{**less, name: 2 * less[name]}, max_file_bytes=2**20) > least, name
    # one more for each of the three priorities
    assert held(**{**less, "queue_size": 16}, max_file_bytes=2**20) - least == (8 + 1 + 1) * 2**20


def test_every_size_that_is_written_comes_with_its_reason() -> None:
    sizes = {size.name: size for size in plan(gpus=(0, 1), queue_size=9).sizes}
    assert sizes["queue size"].reason == "--queue-size"
    assert "8 cores less 2" in sizes["preprocess instances"].reason
    assert "144 calls" in sizes["ocr_stream instances"].reason
    assert set(sizes) - {size.name for size in plan(interfaces=(Interface.UNARY,)).sizes} == {"ocr_stream instances"}


# Files


def test_each_interface_has_its_models_and_all_need_those_of_unary() -> None:
    unary = {Model.OCR, Model.PREPROCESS, Model.ENGINE, Model.CANCEL}
    assert set(models_of([Interface.UNARY])) == unary
    assert set(models_of([Interface.STREAM])) == unary | {Model.STREAM}
    assert set(models_of([Interface.DOCUMENT])) == unary | {Model.LAYOUT, Model.DOCUMENT, Model.DOCUMENT_STREAM}
    assert set(models_of([Interface.RECEIPT])) == unary | {Model.FIELDS, Model.RECEIPT}
    assert set(models_of(Interface)) == set(Model)


@pytest.mark.parametrize("interfaces", [(Interface.UNARY,), (Interface.STREAM,), tuple(Interface)])
def test_only_the_models_of_the_interfaces_are_rendered(interfaces: tuple[Interface, ...], source: Path) -> None:
    files = render_files(plan(interfaces=interfaces), source, "")
    assert {path.parts[0] for path in files} == set(models_of(interfaces))


def test_code_is_copied_as_it_is_and_caches_are_not(source: Path) -> None:
    files = render_files(plan(), source, "")
    wanted = {path.relative_to(source) for path in source.rglob("*.*") if path.suffix in {".py", ".json", ".pbtxt"}}
    assert set(files) == {PurePosixPath(path) for path in wanted}
    for path, content in files.items():
        if path.suffix == ".py":
            assert content == (source / path).read_bytes()


@pytest.mark.parametrize("rendered", [plan(gpus=(0, 1)), on_cpu(2), plan(gpus=(0, 1), parallel=Parallel.TENSOR)])
def test_nothing_but_instances_queues_and_our_parameters_changes(rendered: Plan, source: Path) -> None:
    for model in Model:
        before, after = parse((source / model / "config.pbtxt").read_bytes()), config(rendered, model, source)
        after.parameters.pop("gpus", None)
        after.parameters.pop("cpu_cores", None)
        for each in (before, after):
            del each.instance_group[:]
            each.dynamic_batching.default_queue_policy.ClearField("max_queue_size")
            each.dynamic_batching.ClearField("priority_queue_policy")
        assert after == before


def test_a_header_of_several_lines_stays_a_comment(source: Path) -> None:
    for path, content in render_files(plan(), source, 'made\nname: "other"').items():
        if path.name == "config.pbtxt":
            assert content.startswith(b"# made\n# name:")
            assert parse(content).name == path.parts[0]


# Checkpoints


@pytest.mark.parametrize("text_key", [None, "text_config"])
def test_the_real_checkpoint_is_split_over_powers_of_two(text_key: str | None, tmp_path: Path) -> None:
    text = {key: value for key, value in PADDLEOCR_VL.items() if key != "vision_config"}
    numbers = {text_key: text, "vision_config": PADDLEOCR_VL["vision_config"]} if text_key else PADDLEOCR_VL
    found = Checkpoint.find(str(write_shape(tmp_path, numbers)), tmp_path)
    assert found.shape is not None
    assert found.shape.tensor_sizes == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("name", "value", "size", "reason"),
    [
        ("text_config.num_attention_heads", 6, 4, "4 does not divide the 6 attention heads of the text model"),
        ("text_config.num_key_value_heads", 3, 2, "2 and the 3 key-value heads .*: neither divides the other"),
        ("text_config.intermediate_size", 130, 4, "4 does not divide the 130 channels .* text model's"),
        ("vision_config.num_attention_heads", 6, 4, "4 does not divide the 6 attention heads of the vision encoder"),
        ("vision_config.intermediate_size", 130, 4, "4 does not divide the 130 channels .* vision encoder's"),
        ("text_config.vocab_size", 373, 7, r"7 does not divide the 384 entries .*vocab_size: 373"),
    ],
)
def test_what_vllm_cannot_split_evenly_is_named(name: str, value: int, size: int, reason: str) -> None:
    shape = CheckpointShape(MappingProxyType({name: value}))
    with pytest.raises(OptionRefused, match=rf"^--parallel: tensor over {size} devices \(--gpus\): {reason}") as caught:
        plan(gpus=tuple(range(size)), parallel=Parallel.TENSOR, checkpoint=Checkpoint("x", shape))
    assert name.partition(".")[2] in str(caught.value)
    plan(gpus=tuple(range(size)), checkpoint=Checkpoint("x", shape))


def test_a_size_that_does_not_fit_is_refused_with_those_that_do(tmp_path: Path) -> None:
    message = refusal(tmp_path / "out", "--gpus", "0,1,2", "--parallel", "tensor")
    assert "3 does not divide the 8 attention heads of the text model (text_config.num_attention_heads)" in message
    assert message.strip().endswith("this checkpoint: 1, 2, 4")
    assert not (tmp_path / "out").exists()


def test_more_ranks_than_key_value_heads_are_warned_of_and_no_fewer() -> None:
    [warning] = plan(gpus=(0, 1, 2, 3), parallel=Parallel.TENSOR).warnings
    assert "2 key-value heads" in warning
    assert "data parallel is usually better" in warning
    assert plan(gpus=(0, 1), parallel=Parallel.TENSOR).warnings == ()
    assert plan(gpus=(0, 1, 2, 3)).warnings == ()


def test_a_hub_id_that_is_not_here_is_rendered_with_a_notice(tmp_path: Path) -> None:
    done = run(tmp_path, "--checkpoint", "nobody/nothing", "--gpus", "0,1,2", "--parallel", "tensor")
    assert done.exit_code == 0
    assert "nobody/nothing is not on this machine" in done.stderr
    assert "checked when an engine starts" in done.stderr
    assert json.loads((tmp_path / "paddleocr_vl/1/model.json").read_text("utf-8"))["model"] == "nobody/nothing"


def test_a_relative_checkpoint_is_found_from_where_the_command_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(nano_path(), tmp_path / "weights", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.chdir(tmp_path)
    assert run(Path("out"), "--checkpoint", "weights").exit_code == 0
    settings = EngineSettings.from_file(tmp_path / "out/paddleocr_vl/1/model.json")
    assert settings.checkpoint == tmp_path / "weights"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "config.json cannot be read"),
        ('{"num_attention_heads": "8"}', "text_config.num_attention_heads: '8' is not a number above 0"),
        ('{"vision_config": {"intermediate_size": 0}}', "vision_config.intermediate_size: 0 is not a number above 0"),
    ],
)
def test_a_broken_config_is_named(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, "utf-8")
    with pytest.raises(OptionRefused, match=f"^--checkpoint: .*{reason}"):
        Checkpoint.find(str(tmp_path), Path())


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpus", ""], "--gpus: a number is missing"),
        (["--gpus", "0,,1"], "--gpus: a number is missing"),
        (["--gpus", "0,-1"], "--gpus: -1 is negative"),
        (["--gpus", "0,1,0"], "--gpus: 0 is named twice"),
        (["--gpus", "0,00"], "--gpus: 0 is named twice"),
        (["--gpus", "all"], "--gpus: 'all' is not a number"),
        (["--gpus", "99999999999"], "--gpus: 99999999999 is not between"),
        (["--gpus", "0", "--device", "cpu"], "--gpus: is for --device gpu"),
        (["--engines", "0"], "--engines: 0 is not between 1"),
        (["--engines", "2", "--parallel", "tensor"], "--engines: several engines on a GPU are for --parallel data"),
        (["--device", "cpu", "--engines", "0"], "--engines: 0 is not between 1"),
        (["--device", "cpu", "--engines", "1000"], "--engines: 1000 need a core each"),
        (["--device", "cpu", "--gpu-memory-utilization", "0.5"], "--gpu-memory-utilization: is for --device gpu"),
        (["--device", "tpu"], "--device: 'tpu' is not one of gpu, cpu"),
        (["--parallel", "pipeline"], "--parallel: pipeline is not possible: vLLM's class of this model"),
        (["--parallel", "expert"], "--parallel: 'expert' is not one of data, tensor"),
        (["--interface", "smoke-signal"], "--interface: 'smoke-signal' is not one of unary, stream"),
        (["--max-num-seqs", "0"], "--max-num-seqs: 0 is not between 1 and 4096"),
        (["--max-num-seqs", "4097"], "--max-num-seqs: 4097 is not between 1 and 4096"),
        (["--max-model-len", "0"], "--max-model-len: 0 is not between 1"),
        (
            ["--max-model-len", "4097"],
            "--max-model-len: 4097 is more than the 4096 tokens that the checkpoint is made for",
        ),
        (["--dtype", "int8"], "--dtype: 'int8' is not one of auto, bfloat16"),
        (["--gpu-memory-utilization", "0"], "--gpu-memory-utilization: 0.0 is not above 0"),
        (["--gpu-memory-utilization", "90"], "--gpu-memory-utilization: 90.0 is not above 0 and at most 1"),
        (["--gpu-memory-utilization", "nan"], "--gpu-memory-utilization: nan is not above 0"),
        (["--preprocess-instances", "0"], "--preprocess-instances: 0 is not between 1"),
        (["--queue-size", "0"], "--queue-size: 0 is not between 1"),
        (["--queue-timeout-seconds", "0"], "--queue-timeout-seconds: 0.0 is not above 0"),
        (["--queue-timeout-seconds", "inf"], "--queue-timeout-seconds: inf is not above 0"),
        (["--engine-arg", "block_size"], "--engine-arg: 'block_size': expected NAME=VALUE"),
        (["--engine-arg", "block-size=16"], "--engine-arg: 'block-size=16': expected NAME=VALUE"),
        (["--engine-arg", "max_num_seqs=8"], "--engine-arg: max_num_seqs has an option of its own: --max-num-seqs"),
        (["--engine-arg", "a=1", "--engine-arg", "a=2"], "--engine-arg: a is given twice"),
        (["--checkpoint", ""], "--checkpoint: name nano, a folder or a hub id"),
        (["--checkpoint", "./nowhere"], "--checkpoint: no checkpoint at"),
        (["--checkpoint", "/nowhere/v9"], "--checkpoint: no checkpoint at /nowhere/v9"),
        (["--checkpoint", "a b/c"], "--checkpoint: "),
    ],
)
def test_what_cannot_be_met_is_refused_by_its_option(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "out", *arguments).startswith(message)
    assert not (tmp_path / "out").exists()


def test_no_gpu_and_no_interface_are_refused_where_they_are_given_in_code() -> None:
    with pytest.raises(OptionRefused, match=r"^--gpus: name one GPU or more"):
        RepositoryOptions("nano", gpus=())
    with pytest.raises(OptionRefused, match=r"^--interface: name one or more of unary, stream"):
        RepositoryOptions("nano", interfaces=())


def test_spaces_between_gpus_are_allowed() -> None:
    assert parse_gpus(" 0, 3 ") == (0, 3)


# The folder


def test_the_command_says_what_it_rendered_and_how_to_serve_it(tmp_path: Path) -> None:
    out = tmp_path / "my repository"
    done = run(out, "--gpus", "0,1", "--interface", "unary")
    assert done.exit_code == 0, done.output
    assert "GPU 0, 1, data parallel" in done.stdout
    assert "2 x engines (2) x --max-num-seqs (64)" in done.stdout
    assert f"ocrvl serve --model-repository '{out}'" in done.stdout
    assert f"tritonserver --model-repository '{out}'" in done.stdout


def test_every_shipped_model_is_rendered_with_the_command_that_made_it(tmp_path: Path) -> None:
    assert run(tmp_path, "--device", "cpu", "--max-num-seqs", "16").exit_code == 0
    configs = {path.parent.name: path.read_bytes() for path in tmp_path.glob("*/config.pbtxt")}
    assert set(configs) == {path.parent.name for path in SHIPPED.glob("*/config.pbtxt")}
    for name, content in configs.items():
        assert parse(content).name == name
        assert f"# ocrvl repository {tmp_path} --checkpoint nano --device cpu".encode() in content
        assert b"--max-num-seqs 16" in content
    assert (tmp_path / "ocr/1").is_dir()
    assert EngineSettings.from_file(tmp_path / "paddleocr_vl/1/model.json").checkpoint == nano_path()


def test_the_arguments_that_are_kept_render_the_same_repository_again(tmp_path: Path) -> None:
    options = ["--gpus", "3,1", "--max-model-len", "99", "--queue-timeout-seconds", "1.5", "--dtype", "float16"]
    options += ["--engine-arg", "block_size=32"]
    assert run(tmp_path, *options, "--interface", "unary", "--queue-size", "5").exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = json.loads((tmp_path / MARKER).read_text("utf-8"))["arguments"]
    assert run(tmp_path, *arguments, "--force").exit_code == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_repository_is_replaced_only_with_force_and_leaves_nothing_behind(tmp_path: Path) -> None:
    assert run(tmp_path, "--gpus", "0,1").exit_code == 0
    # what an earlier release may have had, and what Python leaves when the repository is served
    marker = json.loads((tmp_path / MARKER).read_text("utf-8"))
    (tmp_path / "old/1").mkdir(parents=True)
    (tmp_path / "old/1/model.py").touch()
    (tmp_path / MARKER).write_text(json.dumps({**marker, "files": [*marker["files"], "old/1/model.py"]}), "utf-8")
    (tmp_path / "preprocess/1/__pycache__").mkdir()
    (tmp_path / "preprocess/1/__pycache__/model.pyc").touch()
    assert "replace it with --force" in refusal(tmp_path, "--gpus", "0")
    assert (tmp_path / "old/1/model.py").is_file()
    assert run(tmp_path, "--gpus", "0", "--force").exit_code == 0
    assert not (tmp_path / "old").exists()
    assert not (tmp_path / "preprocess/1/__pycache__").exists()
    assert list(parse((tmp_path / "paddleocr_vl/config.pbtxt").read_bytes()).instance_group[0].gpus) == [0]


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_folder_that_this_command_did_not_make_is_never_touched(force: list[str], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    assert "this command did not make it" in refusal(tmp_path, *force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("foreign", ["other/config.pbtxt", "paddleocr_vl/1/weights.safetensors", "link"])
def test_force_refuses_where_something_was_added(foreign: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(out).exit_code == 0
    (out / foreign).parent.mkdir(exist_ok=True)
    (out / foreign).symlink_to(tmp_path)
    before = sorted(out.rglob("*"))
    assert foreign in refusal(out, "--force")
    assert sorted(out.rglob("*")) == before


def test_force_refuses_a_marker_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("[]", "utf-8")
    assert "cannot be read" in refusal(tmp_path, "--force")
    assert (tmp_path / MARKER).read_text("utf-8") == "[]"


def test_options_that_are_refused_leave_the_old_repository_alone(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 0
    assert refusal(tmp_path, "--max-model-len", "5000", "--force")
    assert (tmp_path / "paddleocr_vl/config.pbtxt").is_file()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    assert "is a file: name a folder" in refusal(tmp_path / "out", "--force")


def test_a_folder_that_cannot_be_written_is_reported_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path / "file/out")
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr


def test_the_command_needs_nothing_that_only_the_server_has(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('vllm', 'PIL', 'torch', 'transformers', 'paddlex'): sys.modules[name] = None\n"
        "from ocrvl_cli import app\n"
        "assert not [name for name in sys.modules if name.startswith('ocrvl.repository')]\n"
        "app()\n"
    )
    command = [sys.executable, "-c", code, "repository", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "paddleocr_vl/config.pbtxt").is_file()
