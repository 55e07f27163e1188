"""`ocrvl.vllm_plugin.bursts.settings`: where bursts cannot be had, steps are single, and what is in the way is said."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.worker.gpu.block_table import BlockTables

from ocrvl.vllm_plugin import scheduler
from ocrvl.vllm_plugin.bursts.scheduler import BurstScheduler
from ocrvl.vllm_plugin.bursts.settings import problems_of
from ocrvl.vllm_plugin.bursts.worker import BurstWorker
from ocrvl.vllm_plugin.worker import WORKER


def make_config(**changes: Any) -> Any:
    parallel = SimpleNamespace(world_size=1, data_parallel_size=1, worker_cls=WORKER)
    config = SimpleNamespace(
        parallel_config=parallel,
        model_config=SimpleNamespace(logits_processors=None),
        lora_config=None,
        speculative_config=None,
        kv_transfer_config=None,
        ec_transfer_config=None,
        use_v2_model_runner=True,
        additional_config={"burst": {"tokens": 8}},
    )
    vars(config).update(changes)
    return config


def test_the_installed_vllm_has_what_bursts_take() -> None:
    assert problems_of(make_config()) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"use_v2_model_runner": False}, "the older model runner"),
        ({"lora_config": object()}, "LoRA"),
        ({"speculative_config": object()}, "speculative decoding"),
        ({"kv_transfer_config": object()}, "a KV connector"),
        ({"model_config": SimpleNamespace(logits_processors=["a"])}, "logits processors"),
        (
            {"parallel_config": SimpleNamespace(world_size=2, data_parallel_size=1, worker_cls=WORKER)},
            "several ranks",
        ),
        (
            {"parallel_config": SimpleNamespace(world_size=1, data_parallel_size=1, worker_cls="builtins.object")},
            "the worker builtins.object",
        ),
    ],
)
def test_what_is_in_the_way_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problems_of(make_config(**changes)) == [problem]
    assert scheduler._bursting(AsyncScheduler, make_config(**changes)) is AsyncScheduler


def test_a_vllm_that_lacks_something_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(BlockTables, "compute_slot_mappings")
    assert problems_of(make_config()) == ["a vLLM that is not known"]


def test_the_scheduler_has_bursts_where_they_are_asked_for() -> None:
    assert scheduler._bursting(AsyncScheduler, make_config()).__mro__[1:3] == (BurstScheduler, AsyncScheduler)
    assert scheduler._bursting(AsyncScheduler, make_config(additional_config=None)) is AsyncScheduler


def test_the_worker_says_why_it_has_none(caplog: pytest.LogCaptureFixture) -> None:
    class Device:
        def init_device(self) -> None:
            self.model_runner = object()

    class Worker(BurstWorker, Device):
        vllm_config = make_config(lora_config=object())

    worker = Worker()
    # vLLM's logger, below which ours lies, does not hand on
    logger = logging.getLogger("vllm.ocrvl")
    logger.addHandler(caplog.handler)
    try:
        worker.init_device()
    finally:
        logger.removeHandler(caplog.handler)
    assert type(worker.model_runner) is object
    assert "texts are generated in single steps, not in bursts: LoRA" in caplog.text
