"""`ocrvl.vllm_plugin.bursts.scheduler` with vLLM's own schedulers, and a worker that keeps what they give out.

The worker has a cache of keys and values that says whose they are, so that a place in another's block shows.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import RepetitionDetectionParams, SamplingParams
from vllm.v1.core.kv_cache_utils import init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus
from vllm.v1.structured_output import StructuredOutputManager

from ocrvl.checkpoint import resolve_checkpoint
from ocrvl.vllm_plugin.bursts.runner import split_burst
from ocrvl.vllm_plugin.bursts.scheduler import is_burstable, make_bursting
from ocrvl.vllm_plugin.bursts.settings import BurstSettings

BLOCK = 16
LENGTH = 160
EOS = 2


@pytest.fixture(scope="module")
def config() -> Any:
    init_none_hash(hash)
    return EngineArgs(
        model=str(resolve_checkpoint("nano", Path())),
        dtype="float32",
        enforce_eager=True,
        max_model_len=LENGTH,
        max_num_seqs=6,
        max_num_batched_tokens=256,
        enable_prefix_caching=False,
    ).create_engine_config()


def make_scheduler(config: Any, own: Any, tokens: int, blocks: int = 200) -> Any:
    config.cache_config.num_gpu_blocks = blocks
    config.scheduler_config.async_scheduling = own is AsyncScheduler
    spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
    cache = KVCacheConfig(blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)])
    cls = make_bursting(own, BurstSettings(tokens=tokens)) if tokens > 1 else own
    made = cls(config, cache, StructuredOutputManager(config), BLOCK, log_stats=True)
    # what an engine on a CPU has not: it takes back a text whose blocks were taken with all its tokens
    made.use_v2_model_runner = True
    return made


def make_request(name: str, *, prompt: int = 20, **params: Any) -> Request:
    sampling = SamplingParams(**{"temperature": 0, "max_tokens": 40, **params})
    sampling.update_from_generation_config({}, EOS)
    return Request(name, [7] * prompt, sampling, None)


class Text:
    """The words that a model gives: those of a request are the same however they are asked for."""

    def __init__(self, length: int, seed: int) -> None:
        random = Random(seed)
        self._words = [random.randrange(10, 1000) for _ in range(length)] + [EOS] * LENGTH

    def word(self, index: int) -> int:
        return self._words[index]


class Worker:
    """Does what a model runner does with what a scheduler gives out, and sees that keys and values are where it reads.

    `texts` are those of requests by their names. Steps are done in their order, whenever their results are taken.
    """

    def __init__(self, texts: dict[str, Text]) -> None:
        self._texts = texts
        self._blocks: dict[str, list[int]] = {}
        self._computed: dict[str, int] = {}
        self._prompts: dict[str, tuple[int, int]] = {}
        self._cache: dict[int, tuple[str, int]] = {}
        self.bursts: list[int] = []
        self.preempted = False

    def run(self, output: Any) -> ModelRunnerOutput:
        for name in output.finished_req_ids | (output.preempted_req_ids or set()):
            self._computed.pop(name, None)
        self.preempted |= bool(output.preempted_req_ids)
        for new in output.scheduled_new_reqs:
            self._blocks[new.req_id] = list(new.block_ids[0])
            self._computed[new.req_id] = new.num_computed_tokens
            self._prompts[new.req_id] = len(new.prompt_token_ids), len(new.prefill_token_ids)
        cached = output.scheduled_cached_reqs
        for name, blocks in zip(cached.req_ids, cached.new_block_ids, strict=True):
            self._blocks[name] += blocks[0] if blocks else []
        single, steps = split_burst(output)
        self.bursts.append(steps)
        names = list(single.num_scheduled_tokens)
        tokens = [self._generate(name, single.num_scheduled_tokens[name], steps) for name in names]
        return ModelRunnerOutput(names, {name: at for at, name in enumerate(names)}, sampled_token_ids=tokens)

    def _generate(self, name: str, count: int, steps: int) -> list[int]:
        prompt, prefill = self._prompts[name]
        self._step(name, count)
        if self._computed[name] < prefill:
            assert steps == 1
            return []
        tokens = [self._texts[name].word(self._computed[name] - prompt)]
        for _ in range(steps - 1):
            self._step(name, 1)
            tokens.append(self._texts[name].word(self._computed[name] - prompt))
        return tokens

    def _step(self, name: str, count: int) -> None:
        start = self._computed[name]
        for position in range(start, start + count):
            self._cache[self._slot(name, position)] = name, position
        self._computed[name] += count
        assert self._computed[name] <= LENGTH
        seen = [self._cache[self._slot(name, position)] for position in range(self._computed[name])]
        assert seen == [(name, position) for position in range(self._computed[name])]

    def _slot(self, name: str, position: int) -> int:
        return self._blocks[name][position // BLOCK] * BLOCK + position % BLOCK


class Engine:
    """Steps as vLLM's engine does them: with asynchronous scheduling the next is given out before one's results."""

    def __init__(self, scheduler: Any, texts: dict[str, Text]) -> None:
        self.scheduler = scheduler
        self.worker = Worker(texts)
        self._pending: deque[Any] = deque()
        self._depth = 2 if isinstance(scheduler, AsyncScheduler) else 1
        self.tokens: dict[str, list[int]] = {}
        self.reasons: dict[str, str] = {}
        self.stats: list[Any] = []

    def step(self) -> None:
        output = self.scheduler.schedule()
        is_empty = not output.total_num_scheduled_tokens
        if not is_empty or output.finished_req_ids or output.preempted_req_ids:
            self._pending.append((output, self.worker.run(output)))
        while self._pending and (is_empty or len(self._pending) >= self._depth):
            self._take(*self._pending.popleft())

    def _take(self, scheduled: Any, result: Any) -> None:
        if not scheduled.total_num_scheduled_tokens:
            return
        for outputs in self.scheduler.update_from_output(scheduled, result).values():
            if outputs.scheduler_stats:
                self.stats.append(outputs.scheduler_stats)
            for output in outputs.outputs:
                self.tokens.setdefault(output.request_id, []).extend(output.new_token_ids)
                if output.finish_reason is not None:
                    self.reasons[output.request_id] = str(output.finish_reason)

    def finish(self) -> None:
        for _ in range(3000):
            if not self.scheduler.has_unfinished_requests() and not self._pending:
                return
            self.step()
        raise AssertionError("texts do not end")


def run_traffic(config: Any, own: Any, tokens: int, *, seed: int, blocks: int) -> tuple[Engine, set[str]]:
    """Requests of all kinds that come one by one, some of which their callers give up; the names of those."""
    random = Random(seed)
    texts: dict[str, Text] = {}
    engine = Engine(make_scheduler(config, own, tokens, blocks), texts)
    aborted: set[str] = set()
    for number in range(40):
        name = f"request-{number}"
        texts[name] = Text(random.randrange(1, 70), number)
        prompt = random.randrange(1, 80)
        kind: dict[str, Any] = random.choice(
            [{}, {}, {}, {"ignore_eos": True}, {"temperature": 1.0}, {"stop_token_ids": [11, 12, 13]}]
        )
        limit = random.choice([1, 2, 9, 30, LENGTH - prompt])
        engine.scheduler.add_request(make_request(name, prompt=prompt, max_tokens=limit, **kind))
        for _ in range(random.randrange(0, 6)):
            engine.step()
        given_up = random.choice(list(texts))
        if random.random() < 0.15 and given_up not in engine.reasons:
            engine.scheduler.finish_requests(given_up, RequestStatus.FINISHED_ABORTED)
            aborted.add(given_up)
    engine.finish()
    return engine, aborted


@pytest.mark.parametrize("own", [Scheduler, AsyncScheduler])
@pytest.mark.parametrize("blocks", [200, 12])
@pytest.mark.parametrize("seed", range(6))
def test_texts_are_those_of_single_steps_whatever_happens_to_others(
    config: Any, own: Any, blocks: int, seed: int
) -> None:
    single, _ = run_traffic(config, own, 1, seed=seed, blocks=200)
    engine, aborted = run_traffic(config, own, 8, seed=seed, blocks=blocks)
    kept = single.reasons.keys() - aborted
    assert {name: engine.tokens[name] for name in kept} == {name: single.tokens[name] for name in kept}
    assert {name: engine.reasons[name] for name in kept} == {name: single.reasons[name] for name in kept}
    assert max(engine.worker.bursts) == 8
    assert engine.worker.preempted == (blocks < 200)
    free = engine.scheduler.kv_cache_manager.block_pool.get_num_free_blocks()
    assert free == blocks - 1


def start(config: Any, *, lengths: dict[str, int], blocks: int = 200, own: Any = Scheduler, **params: Any) -> Engine:
    """An engine with texts of these lengths in progress, whose prompts are read."""
    engine = Engine(make_scheduler(config, own, 8, blocks), {name: Text(length, 0) for name, length in lengths.items()})
    for name in lengths:
        engine.scheduler.add_request(make_request(name, **params))
    engine.step()
    return engine


def test_a_text_that_ends_within_a_burst_has_its_tokens_and_no_more(config: Any) -> None:
    engine = start(config, lengths={"ends": 5, "goes on": 30})
    engine.step()
    assert engine.worker.bursts == [1, 8]
    # the prompt's step gave the first
    assert engine.tokens["ends"] == [*(Text(5, 0).word(at) for at in range(5)), EOS]
    assert len(engine.tokens["goes on"]) == 9
    assert engine.reasons == {"ends": "stop"}


@pytest.mark.parametrize(("params", "reason"), [({"max_tokens": 12}, "length"), ({"stop_token_ids": [11]}, "stop")])
def test_other_ends_within_a_burst(config: Any, params: dict[str, Any], reason: str) -> None:
    engine = start(config, lengths={"one": 60}, own=AsyncScheduler, **params)
    engine.worker._texts["one"]._words[11] = 11
    engine.finish()
    assert (len(engine.tokens["one"]), engine.reasons["one"]) == (12, reason)


def test_a_text_that_only_repeats_itself_ends_within_a_burst(config: Any) -> None:
    detection = RepetitionDetectionParams(max_pattern_size=2, min_pattern_size=1, min_count=6)
    engine = start(config, lengths={"one": 60}, repetition_detection=detection)
    engine.worker._texts["one"]._words[2:40] = [5] * 38
    engine.finish()
    assert (len(engine.tokens["one"]), engine.reasons["one"]) == (8, "repetition")


def test_steps_are_single_while_a_prompt_may_begin(config: Any) -> None:
    engine = start(config, lengths={"one": 60})
    engine.scheduler.add_request(make_request("two", prompt=100))
    engine.worker._texts["two"] = Text(60, 0)
    engine.step()
    engine.step()
    assert engine.worker.bursts == [1, 1, 8]


def test_a_prompt_that_is_held_back_or_has_no_place_does_not_hold_up_bursts(config: Any) -> None:
    engine = start(config, lengths={"one": 60})
    engine.scheduler.add_request(make_request("two"))
    engine.scheduler.prefill_capacity_bound = False
    held = engine.scheduler.schedule(throttle_prefills=True)
    assert held.num_scheduled_tokens == {"one": 8}
    full = start(config, lengths={str(number): 60 for number in range(7)})
    full.step()
    assert full.worker.bursts == [1, 8]


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0.5},
        {"repetition_penalty": 1.1},
        {"presence_penalty": 0.1},
        {"frequency_penalty": 0.1},
        {"min_tokens": 3},
        {"logprobs": 1},
        {"logit_bias": {5: 1.0}},
        {"allowed_token_ids": [5]},
        {"bad_words": ["a"]},
        {"extra_args": {"a": 1}},
    ],
)
def test_steps_are_single_while_a_text_takes_more_than_the_likeliest_words(config: Any, params: Any) -> None:
    assert is_burstable(make_request("plain"))
    assert not is_burstable(make_request("one", **params))


def test_a_text_that_steps_pending_complete_is_not_given_another(config: Any) -> None:
    engine = start(config, lengths={"short": 60, "long": 60}, own=AsyncScheduler)
    engine.scheduler.requests["short"].max_tokens = 9
    first, second = engine.scheduler.schedule(), engine.scheduler.schedule()
    assert first.num_scheduled_tokens == {"short": 8, "long": 8}
    assert second.num_scheduled_tokens == {"long": 8}


def test_bursts_take_no_blocks_from_others(config: Any) -> None:
    # two prompts of a block and a bit: 4 of 6 blocks, of which one is vLLM's own
    engine = start(config, lengths={"one": 60, "two": 60}, blocks=6)
    engine.scheduler.finish_requests("two", RequestStatus.FINISHED_ABORTED)
    assert engine.scheduler.schedule().num_scheduled_tokens == {"one": 8}
    engine = start(config, lengths={"one": 60, "two": 60}, blocks=6)
    assert engine.scheduler.schedule().num_scheduled_tokens == {"one": 1, "two": 1}


def test_nothing_is_reported_as_speculation(config: Any) -> None:
    engine = start(config, lengths={"one": 60})
    engine.finish()
    assert max(engine.worker.bursts) == 8
    assert engine.stats
    assert all(stats.spec_decoding_stats is None for stats in engine.stats)


def test_a_burst_is_as_long_as_the_fewest_places() -> None:
    def split(places: dict[str, int], drafts: dict[str, int]) -> tuple[dict[str, int], int]:
        output = SchedulerOutput.make_empty()
        output.num_scheduled_tokens = places
        output.scheduled_spec_decode_tokens = {name: [-1] * count for name, count in drafts.items()}
        first, steps = split_burst(output)
        assert first.total_num_scheduled_tokens == sum(first.num_scheduled_tokens.values())
        return first.num_scheduled_tokens, steps

    assert split({"one": 8, "two": 3}, {"one": 7, "two": 2}) == ({"one": 1, "two": 1}, 3)
    assert split({"one": 8, "two": 1}, {"one": 7}) == ({"one": 1, "two": 1}, 1)
    assert split({"one": 8, "prompt": 50}, {"one": 7}) == ({"one": 1, "prompt": 50}, 1)
