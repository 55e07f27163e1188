"""What the plugin does on a GPU, as far as a CPU can show it: graphs' budgets, memory, the choice of a model runner."""

from __future__ import annotations

import importlib
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.config import vllm as vllm_config
from vllm.platforms import current_platform
from vllm.v1.worker.gpu_worker import Worker

from ocrvl import vllm_plugin as plugin
from ocrvl.models.engine.vllm_engine import arguments
from ocrvl.vllm_plugin import gpu_worker
from ocrvl.vllm_plugin.encoder_graphs import SEQUENCES, EncoderGraphs, EncoderInput, bounds_of
from ocrvl.vllm_plugin.worker import WORKER

_LIST = "DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES"


def graphs(*budgets: int) -> EncoderGraphs:
    """Graphs whose encoder adds up the patches of each merged token."""
    like = EncoderInput.of(tuple([torch.zeros(4, width)] for width in (3, 2, 1, 1)), [4])  # type: ignore[arg-type]

    def encode(given: EncoderInput) -> torch.Tensor:
        return given.patches.view(-1, 4, 3).sum(1)

    return EncoderGraphs(encode, like.stretched(max(budgets)), budgets, lambda call, given: lambda: call(given))


@pytest.mark.parametrize(("sizes", "budget"), [([4], 8), ([4, 4], 8), ([8, 4], 16), ([16], 16)])
def test_images_run_in_the_smallest_graph_that_holds_them(sizes: list[int], budget: int) -> None:
    found = graphs(16, 8).find(sizes)
    assert found is not None
    assert found.budget == budget


def test_too_many_patches_or_images_run_without_a_graph() -> None:
    assert graphs(16, 8).find([16, 4]) is None
    assert graphs(4096).find([4] * (SEQUENCES - 1)) is not None
    assert graphs(4096).find([4] * SEQUENCES) is None


def test_what_a_graph_gives_outlasts_its_next_call() -> None:
    graph = graphs(16).find([8])
    assert graph is not None

    def ask(value: float) -> torch.Tensor:
        return graph(([torch.full((8, 3), value)], *([torch.zeros(8, n)] for n in (2, 1, 1))), [8])  # type: ignore[arg-type]

    first = ask(1.0)
    ask(2.0)
    assert first.tolist() == [[4.0] * 3] * 2


@pytest.mark.parametrize(("sizes", "budget"), [([4], 4), ([4], 4096), ([700, 12], 2048), ([4] * 64, 3072)])
def test_sequences_cover_a_budget_without_overlap(sizes: list[int], budget: int) -> None:
    bounds = bounds_of(sizes, budget).tolist()
    assert len(bounds) == SEQUENCES + 1
    assert bounds[0] == 0
    assert bounds[-1] == budget
    assert bounds == sorted(bounds)
    assert [end - begin for begin, end in pairwise(bounds)][: len(sizes)] == sizes


@pytest.mark.parametrize(("told", "available"), [(None, 900), (700, 1000)])
def test_graphs_are_left_memory_unless_the_operator_says_how_much(
    monkeypatch: pytest.MonkeyPatch, told: int | None, available: int
) -> None:
    steps: list[str] = []
    free = [500, 400]
    model = SimpleNamespace(
        profile_encoder=lambda: steps.append("encoder measured"), capture_encoder=lambda: steps.append("captured")
    )
    runner = SimpleNamespace(get_model=lambda: model, profile_run=lambda: steps.append("vLLM's own"))

    def determine(worker: Any) -> int:
        worker.model_runner.profile_run()
        return 1000

    monkeypatch.setattr(Worker, "determine_available_memory", determine)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free.pop(0), 0))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    worker = gpu_worker.EncoderWorker.__new__(gpu_worker.EncoderWorker)
    worker.model_runner = runner
    worker.cache_config = SimpleNamespace(kv_cache_memory_bytes=told)
    assert worker.determine_available_memory() == available
    assert steps == ["vLLM's own", "encoder measured", "captured"]


def test_the_newer_model_runner_is_for_this_model_on_a_gpu_where_vllm_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_config, _LIST, frozenset({"Another"}), raising=False)
    monkeypatch.setattr(type(current_platform), "is_cuda", lambda _self: False)
    plugin.register()
    assert getattr(vllm_config, _LIST) == {"Another"}
    monkeypatch.setattr(type(current_platform), "is_cuda", lambda _self: True)
    plugin.register()
    assert getattr(vllm_config, _LIST) == {"Another", plugin.ARCHITECTURE}
    monkeypatch.delattr(vllm_config, _LIST)
    plugin.register()
    assert not hasattr(vllm_config, _LIST)


def test_the_plugins_worker_is_taken_on_a_gpu_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin.register()
    monkeypatch.setattr(type(current_platform), "is_cuda", lambda _self: False)
    assert arguments.default_worker("auto") == "auto"
    monkeypatch.setattr(type(current_platform), "is_cuda", lambda _self: True)
    assert arguments.default_worker("auto") == WORKER
    assert arguments.default_worker("my.Worker") == "my.Worker"
    module, _, name = WORKER.rpartition(".")
    assert getattr(importlib.import_module(module), name) is gpu_worker.EncoderWorker
