"""Bursts with vLLM's own model runner on the embedded checkpoint: token for token the texts of single steps."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from tests.support.interpreted_triton import interpret_triton
from tests.support.starting import one_at_a_time
from training.nano.world import World

TOKENS = 4


def report_texts(report: str) -> None:
    """Write what an engine generates in single steps and in bursts to a file, since vLLM prints."""
    interpret_triton()
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler

    from tests.support.burst_engine import start_engine

    with one_at_a_time():
        engine = start_engine(TOKENS)
    core = engine.llm_engine.engine_core.engine_core
    inner = core.model_executor.driver_worker.worker.model_runner._inner
    seen: dict[str, Any] = {
        "single": generate(engine, single=True),
        "bursts": generate(engine),
        "mixed": generate(engine, mixed=True),
    }
    record_steps(inner)
    seen["recorded"] = generate(engine)
    pool = core.scheduler.kv_cache_manager.block_pool
    seen["is_async"] = isinstance(core.scheduler, AsyncScheduler)
    seen["blocks"] = [pool.get_num_free_blocks() + 1, pool.num_gpu_blocks]
    Path(report).write_text(json.dumps(seen), "utf-8")


def record_steps(inner: Any) -> None:
    """Have whole steps done as a GPU's graphs do them, for batches that others are filled up to."""
    from ocrvl.vllm_plugin.bursts import inner_steps

    inner_steps._can_refresh = lambda group: True
    inner.record([2, 4, 6], lambda step: step)
    assert sorted(inner._recorded) == [2, 4, 6]


def generate(engine: Any, *, single: bool = False, mixed: bool = False) -> dict[str, Any]:
    """Tokens and ends of seven texts, of which six are in progress at once, and how many steps they took."""
    from vllm import SamplingParams

    random = Random(3)
    world = World(random)
    prompt = "<|begin_of_sentence|>User: <|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>OCR:\nAssistant:\n"
    images = [Image.open(BytesIO(world.line(text).png())) for text in ("Soup of the day", "Total 7.50", "ABC 123") * 3]
    params = [
        SamplingParams(
            temperature=0,
            max_tokens=[40, 9, 23, 1, 30][number % 5],
            ignore_eos=number % 3 == 0,
            extra_args={"single": True} if single or (mixed and number == 2) else None,
        )
        for number in range(7)
    ]
    steps: list[int] = []
    scheduler = engine.llm_engine.engine_core.engine_core.scheduler
    own = scheduler.update_from_output

    def update_from_output(scheduled: Any, result: Any) -> Any:
        if scheduled.total_num_scheduled_tokens:
            steps.append(max(map(len, result.sampled_token_ids)))
        return own(scheduled, result)

    scheduler.update_from_output = update_from_output
    inputs = [{"prompt": prompt, "multi_modal_data": {"image": image}} for image in images[:7]]
    outputs = [output.outputs[0] for output in engine.generate(inputs, params, use_tqdm=False)]
    scheduler.update_from_output = own
    return {"texts": [[list(output.token_ids), output.finish_reason] for output in outputs], "steps": steps}


def test_texts_are_token_for_token_those_of_single_steps(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    code = "import sys; from tests.integration.unshared.test_bursts import report_texts as r; r(sys.argv[1])"
    command = [sys.executable, "-c", code, str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    seen = json.loads(report.read_text("utf-8"))
    for kind in ("bursts", "mixed", "recorded"):
        assert seen[kind]["texts"] == seen["single"]["texts"]
    assert seen["is_async"]
    assert set(seen["single"]["steps"]) == {1}
    assert {max(seen[kind]["steps"]) for kind in ("bursts", "recorded")} == {TOKENS}
    assert len(seen["bursts"]["steps"]) < len(seen["single"]["steps"]) / 2
    free, blocks = seen["blocks"]
    assert free == blocks
