"""`ocrvl quantize`'s work on a whole checkpoint: what it writes, in how much memory, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file

from ocrvl.checkpoint import nano_path
from ocrvl.quantization.checkpoint import QuantizationPlan, QuantizationRefused, quantize_checkpoint
from ocrvl.quantization.layers import Parts
from ocrvl.quantization.schemes import Scheme

LINEAR_BYTES = {Scheme.FP8: 0.52, Scheme.INT8: 0.52, Scheme.W4A16: 0.30}


def quantize(source: Path, target: Path, scheme: Scheme = Scheme.FP8, parts: Parts = Parts.ALL) -> QuantizationPlan:
    plan = QuantizationPlan.of(source, scheme, parts)
    quantize_checkpoint(plan, target)
    return plan


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    return shutil.copytree(nano_path(), tmp_path / "nano")


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("parts", Parts)
def test_layers_take_their_share_of_the_bytes_and_the_file_is_as_large_as_planned(
    nano: Path, tmp_path: Path, scheme: Scheme, parts: Parts
) -> None:
    plan = quantize(nano, tmp_path / "out", scheme, parts)
    before, after = plan.linear_bytes
    assert after / before <= LINEAR_BYTES[scheme]
    tensors = load_file(tmp_path / "out/model.safetensors")
    assert sum(one.nbytes for one in tensors.values()) == plan.total_bytes[1]
    assert {name.rpartition(".")[2] for name in tensors} == (
        {"weight", "bias", "weight_scale", *(["weight_packed", "weight_shape"] if scheme is Scheme.W4A16 else [])}
    )


def test_what_is_not_quantised_is_there_bit_by_bit(nano: Path, tmp_path: Path) -> None:
    plan = quantize(nano, tmp_path / "out", parts=Parts.TEXT)
    before, after = load_file(nano / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    others = before.keys() - plan.layers.quantized
    assert len(others) > 100
    assert all(torch.equal(before[name], after[name]) for name in others)
    for name in ("tokenizer.json", "chat_template.jinja", "preprocessor_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (nano / name).read_bytes()


@pytest.mark.parametrize("scheme", Scheme)
def test_transformers_reads_it_as_the_weights_that_compressed_tensors_restores(
    nano: Path, tmp_path: Path, scheme: Scheme
) -> None:
    from transformers import CompressedTensorsConfig, PaddleOCRVLForConditionalGeneration

    quantize(nano, tmp_path / "out", scheme)
    model = PaddleOCRVLForConditionalGeneration.from_pretrained(
        tmp_path / "out", quantization_config=CompressedTensorsConfig(run_compressed=False), dtype=torch.bfloat16
    )
    exact = load_file(nano / "model.safetensors")
    for ours, theirs in (
        ("model.layers.2.mlp.up_proj.weight", model.model.language_model.layers[2].mlp.up_proj.weight),
        (
            "visual.vision_model.encoder.layers.1.mlp.fc2.weight",
            model.model.visual.vision_model.encoder.layers[1].mlp.fc2.weight,
        ),
    ):
        error = (theirs.float() - exact[ours].float()).norm() / exact[ours].float().norm()
        assert 0 < error < {Scheme.FP8: 0.04, Scheme.INT8: 0.02, Scheme.W4A16: 0.12}[scheme]
    assert torch.equal(model.model.projector.linear_1.weight, exact["mlp_AR.linear_1.weight"])


def test_several_files_stay_several_with_an_index(nano: Path, tmp_path: Path) -> None:
    tensors = load_file(nano / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, chosen in parts.items():
        save_file({name: tensors[name] for name in chosen}, nano / file)
    (nano / "model.safetensors").unlink()
    index = {"weight_map": {name: file for file, chosen in parts.items() for name in chosen}}
    (nano / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    plan = quantize(nano, tmp_path / "out")
    written = json.loads((tmp_path / "out/model.safetensors.index.json").read_text("utf-8"))
    assert written["metadata"]["total_size"] == plan.total_bytes[1]
    for name, file in written["weight_map"].items():
        assert name in load_file(tmp_path / "out" / file)
    (nano / "model-2.safetensors").unlink()
    with pytest.raises(QuantizationRefused, match=r"has no model-2\.safetensors"):
        QuantizationPlan.of(nano, Scheme.FP8, Parts.ALL)


MEASURED = """
import resource, sys
from pathlib import Path
import ocrvl.quantization.arithmetic
from ocrvl.quantization.checkpoint import QuantizationPlan, quantize_checkpoint
from ocrvl.quantization.layers import Parts
from ocrvl.quantization.schemes import Scheme
import torch
torch.set_num_threads(1)
torch.ones(64, 64) @ torch.ones(64, 64)
lines = Path("/proc/self/status").read_text().splitlines()
held = next(int(line.split()[1]) for line in lines if line.startswith("VmData")) * 1024
# the source is mapped, which counts though it takes nothing
limit = held + Path(sys.argv[1], "model.safetensors").stat().st_size + int(sys.argv[3]) * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
plan = QuantizationPlan.of(Path(sys.argv[1]), Scheme.FP8, Parts.TEXT)
quantize_checkpoint(plan, Path(sys.argv[2]))
"""


def test_a_weight_at_a_time_is_in_memory(nano: Path, tmp_path: Path) -> None:
    # 192 MB of weights, 2 MB each, which are 96 MB afterwards
    layer = torch.ones(1024, 1024, dtype=torch.bfloat16)
    names = [f"model.layers.{number}.mlp.down_proj.weight" for number in range(96)]
    save_file({name: layer.clone() for name in names}, nano / "model.safetensors")
    command = [sys.executable, "-c", MEASURED, str(nano), str(tmp_path / "out"), "64"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # the limit does limit: one of a weight is less than it takes
    command[-2:] = [str(tmp_path / "other"), "8"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "memory" in done.stderr


class Refusal(NamedTuple):
    prepare: Callable[[Path], object]
    words: str


REFUSED = {
    "another architecture": Refusal(
        lambda nano: change_config(nano, architectures=["LlamaForCausalLM"]), "has architectures .*LlamaForCausalLM"
    ),
    "a configuration that names none": Refusal(
        lambda nano: change_config(nano, architectures=None), "expected a checkpoint of PaddleOCRVL"
    ),
    "a configuration that says how it was quantised": Refusal(
        lambda nano: change_config(nano, quantization_config={"quant_method": "gptq"}), r"quantised already \(gptq\)"
    ),
    "tensors that are quantised": Refusal(
        lambda nano: save_file(
            {"model.layers.0.mlp.up_proj.weight": torch.zeros(32, 32, dtype=torch.int8)}, nano / "model.safetensors"
        ),
        "up_proj.weight is I8",
    ),
    "no configuration": Refusal(lambda nano: (nano / "config.json").unlink(), "config.json cannot be read"),
    "no weights": Refusal(lambda nano: (nano / "model.safetensors").unlink(), "has no .*safetensors: download"),
    "weights that were cut off": Refusal(
        lambda nano: os.truncate(nano / "model.safetensors", 5_000_000), "cannot be read, download it again"
    ),
    "an index that names files elsewhere": Refusal(
        lambda nano: (nano / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../a.safetensors"}}'),
        "names files of other folders",
    ),
    "an index that is none": Refusal(
        lambda nano: (nano / "model.safetensors.index.json").write_text("[]"), r"index\.json cannot be read"
    ),
    "names that nobody knows": Refusal(
        lambda nano: save_file({"encoder.0.weight": torch.zeros(32, 32)}, nano / "model.safetensors"),
        "no layer can be quantised",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_source_that_cannot_be_quantised_is_refused(nano: Path, case: str) -> None:
    REFUSED[case].prepare(nano)
    with pytest.raises(QuantizationRefused, match=rf"SOURCE: .*{REFUSED[case].words}"):
        QuantizationPlan.of(nano, Scheme.FP8, Parts.ALL)


def test_what_is_quantised_is_not_quantised_again(nano: Path, tmp_path: Path) -> None:
    quantize(nano, tmp_path / "out")
    with pytest.raises(QuantizationRefused, match="quantised already"):
        QuantizationPlan.of(tmp_path / "out", Scheme.INT8, Parts.TEXT)


def test_a_target_that_exists_is_left_as_it_is(nano: Path, tmp_path: Path) -> None:
    plan = QuantizationPlan.of(nano, Scheme.FP8, Parts.ALL)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("nano", "file", "link"):
        with pytest.raises(QuantizationRefused, match=f"TARGET: .*{name} exists"):
            quantize_checkpoint(plan, tmp_path / name)
    with pytest.raises(QuantizationRefused, match=r"TARGET: .*missing is not a folder"):
        quantize_checkpoint(plan, tmp_path / "missing/out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "nano"]


def test_a_disk_without_room_is_refused_before_anything_is_written(
    nano: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    plan = QuantizationPlan.of(nano, Scheme.FP8, Parts.ALL)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(plan.total_bytes[1]))
    with pytest.raises(QuantizationRefused, match=r"has 7 MB free, 8 MB are needed"):
        quantize_checkpoint(plan, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["nano"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_is_interrupted_leaves_nothing(nano: Path, tmp_path: Path, error: Any) -> None:
    def interrupt(done: int, whole: int) -> None:
        assert not (tmp_path / "out").exists()
        if done > whole / 2:
            raise error

    plan = QuantizationPlan.of(nano, Scheme.FP8, Parts.ALL)
    with pytest.raises((KeyboardInterrupt, OSError)):
        quantize_checkpoint(plan, tmp_path / "out", interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["nano"]


def test_what_is_killed_leaves_no_checkpoint(nano: Path, tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from ocrvl.quantization.checkpoint import QuantizationPlan, quantize_checkpoint
from ocrvl.quantization.layers import Parts
from ocrvl.quantization.schemes import Scheme
plan = QuantizationPlan.of(Path({str(nano)!r}), Scheme.FP8, Parts.ALL)
quantize_checkpoint(plan, Path({str(tmp_path / "out")!r}), lambda done, whole: done == whole and os.kill(0, 9))
"""
    subprocess.run([sys.executable, "-c", code], start_new_session=True)
    (left,) = [path for path in tmp_path.iterdir() if path.name != "nano"]
    assert left.name.startswith(".out.")
    assert not (left / "config.json").exists()
    with pytest.raises(QuantizationRefused, match=r"config\.json cannot be read"):
        QuantizationPlan.of(left, Scheme.FP8, Parts.ALL)
    quantize(nano, tmp_path / "out")
