"""LoRA adapters in a real engine on the embedded checkpoint: each request reads as with its own adapter alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from ocrvl.adapters.merge import merge_adapter
from ocrvl.checkpoint import nano_path
from ocrvl.models.engine.vllm_engine.arguments import ENVIRONMENT
from tests.support.adapters import as_transformers, in_language_model, random_tensors, write_adapter
from training.nano.reader import TransformersReader
from training.nano.world import World

LINES = ("Soup of the day", "Total 7.50", "Table 12", "Thank you", "Coffee 2.80", "ABC 123")
ADAPTERS = ("all", "same", "text")
"""Of all modules, in both spellings, and one that leaves the encoder alone."""
PROMPT = "<|begin_of_sentence|>User: <|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>OCR:\nAssistant:\n"


def write_adapters(folder: Path) -> None:
    every = random_tensors(1, rank=8, strength=0.9)
    write_adapter(folder / "all", every)
    write_adapter(folder / "same", every, as_transformers)
    write_adapter(folder / "text", random_tensors(2, rank=4, strength=0.6, where=in_language_model), lora_alpha=8)


def images() -> list[bytes]:
    world = World(Random(3))
    return [world.line(text).png() for text in LINES]


def report_texts(folder: str, report: str) -> None:
    """Write what an engine reads to a file, since vLLM prints."""
    os.environ.update(ENVIRONMENT, VLLM_ENABLE_V1_MULTIPROCESSING="0")
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    engine = LLM(
        model=str(nano_path()),
        dtype="float32",
        enforce_eager=True,
        max_model_len=512,
        max_num_seqs=32,
        mm_processor_cache_gb=0,
        enable_prefix_caching=False,
        enable_lora=True,
        max_loras=len(ADAPTERS),
        max_lora_rank=8,
        enable_tower_connector_lora=True,
        distributed_executor_backend="vllm.v1.executor.uniproc_executor.UniProcExecutor",
    )
    requests = {
        name: LoRARequest(name, number, str(Path(folder) / name)) for number, name in enumerate(ADAPTERS, start=1)
    }
    params = SamplingParams(temperature=0, max_tokens=40, logprobs=3)
    opened = [Image.open(BytesIO(data)) for data in images()]

    def read(names: list[str]) -> dict[str, list[Any]]:
        """Each image with each of these, all at once; "" is no adapter."""
        pairs = [(name, image) for image in opened for name in names]
        inputs = [{"prompt": PROMPT, "multi_modal_data": {"image": image}} for _, image in pairs]
        outputs = engine.generate(
            inputs, params, lora_request=[requests.get(name) for name, _ in pairs], use_tqdm=False
        )
        seen: dict[str, list[Any]] = {name: [] for name in names}
        for (name, _), output in zip(pairs, outputs, strict=True):
            first = output.outputs[0]
            chances = [{str(token): chance.logprob for token, chance in step.items()} for step in first.logprobs]
            seen[name].append([first.text, chances])
        return seen

    alone = {key: value for name in ("", *ADAPTERS) for key, value in read([name]).items()}
    Path(report).write_text(json.dumps({"alone": alone, "mixed": read(["", *ADAPTERS])}), "utf-8")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("adapters")
    write_adapters(folder)
    report = folder / "report.json"
    code = "import sys; from tests.integration.unshared.test_adapters import report_texts as r; r(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(folder), str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return {"folder": folder, **json.loads(report.read_text("utf-8"))}


def texts(outputs: list[Any]) -> list[str]:
    return [text for text, _ in outputs]


def distance(first: list[Any], second: list[Any]) -> float:
    """The largest difference between log-probabilities of the same tokens."""
    steps = [pair for (_, one), (_, other) in zip(first, second, strict=True) for pair in zip(one, other, strict=True)]
    common = [(one, other, token) for one, other in steps for token in one.keys() & other.keys()]
    return max(float(abs(one[token] - other[token])) for one, other, token in common)


@pytest.mark.parametrize("name", ["", *ADAPTERS])
def test_in_a_mixed_batch_each_request_reads_as_alone(seen: dict[str, Any], name: str) -> None:
    assert texts(seen["mixed"][name]) == texts(seen["alone"][name])
    # what is computed for an adapter's rows depends on how many they are
    assert distance(seen["mixed"][name], seen["alone"][name]) < (1e-3 if name else 1e-5)


def test_requests_without_an_adapter_read_what_is_printed(seen: dict[str, Any]) -> None:
    assert texts(seen["mixed"][""]) == list(LINES)


def test_both_spellings_of_modules_names_are_one_adapter(seen: dict[str, Any]) -> None:
    assert texts(seen["alone"]["same"]) == texts(seen["alone"]["all"])
    assert distance(seen["alone"]["same"], seen["alone"]["all"]) < 1e-5


@pytest.mark.parametrize("name", ["all", "text"])
def test_an_adapter_reads_what_its_merged_checkpoint_reads(seen: dict[str, Any], name: str, tmp_path: Path) -> None:
    merge_adapter(seen["folder"] / name, nano_path(), tmp_path / "merged")
    served = texts(seen["alone"][name])
    assert served != list(LINES)
    assert served == TransformersReader(tmp_path / "merged")(images())
