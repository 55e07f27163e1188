"""`ocrvl.models.cancel_scope`: work is ended once, by whom it may concern, from wherever they are."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ocrvl.errors import Cancelled
from ocrvl.metrics.definitions import CancelReason
from ocrvl.models.cancel_scope import Work, WorkRegistry
from ocrvl.triton.loop import LoopThread
from tests.support.doubles import PATIENCE


def test_work_is_ended_once_and_for_the_first_reason() -> None:
    work = Work()
    work.check()
    assert work.end(CancelReason.CALLER)
    assert not work.end(CancelReason.TOKEN)
    assert work.reason is CancelReason.CALLER


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (CancelReason.TOKEN, "cancelled by its token"),
        (CancelReason.CALLER, "its caller went away"),
        (CancelReason.TIMEOUT, "timeout_ms has passed"),
        (None, "the server is stopping"),
    ],
)
def test_a_caller_is_told_why_its_request_was_ended(reason: CancelReason | None, words: str) -> None:
    work = Work()
    if reason:
        work.end(reason)
        with pytest.raises(Cancelled, match=words):
            work.check()
    assert str(work.error()) == words


def test_of_many_threads_that_end_work_one_did() -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            work = Work()
            assert sum(pool.map(work.end, [CancelReason.TOKEN, CancelReason.CALLER] * 4)) == 1


def test_ending_work_wakes_the_loop_of_its_task_and_cancels_it() -> None:
    loop, work = LoopThread("work"), Work()
    is_attached, is_cancelled = threading.Event(), threading.Event()

    async def be_at_work() -> None:
        task = asyncio.current_task()
        assert task is not None
        work.attach(task)
        is_attached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()

    loop.submit(be_at_work())
    assert is_attached.wait(PATIENCE)
    # by now the loop is asleep
    time.sleep(0.02)
    assert work.end(CancelReason.TOKEN)
    assert is_cancelled.wait(PATIENCE)
    loop.stop()


def test_a_task_that_is_attached_to_ended_work_is_cancelled() -> None:
    async def scenario() -> None:
        work = Work()
        await asyncio.to_thread(work.end, CancelReason.CALLER)
        task: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(3600))
        work.attach(task)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


def test_a_token_ends_all_its_work_and_no_other_and_counts_what_it_ended_now() -> None:
    registry = WorkRegistry()
    ours, also_ours, other = Work("token-a", "stream-1"), Work("token-a"), Work("token-b")
    for work in (ours, also_ours, other, Work()):
        registry.add(work)
    assert registry.cancel("token-a") == 2
    assert [work.reason for work in (ours, also_ours, other)] == [CancelReason.TOKEN, CancelReason.TOKEN, None]
    assert registry.cancel("token-a") == 0
    assert registry.cancel("stream-1") == 0
    assert registry.cancel("unheard of") == 0


def test_work_that_has_its_answer_is_not_counted() -> None:
    registry = WorkRegistry()
    work, other = Work("token", "stream"), Work("token")
    registry.add(work)
    registry.add(other)
    registry.remove(work)
    registry.remove(work)
    assert registry.cancel("token") == 1
    assert work.reason is None
    registry.remove(other)


def test_work_that_comes_after_its_token_is_ended_at_once() -> None:
    registry = WorkRegistry()
    assert registry.cancel("token") == 0
    for work in (Work("token"), Work("stream", "token")):
        registry.add(work)
        assert work.reason is CancelReason.TOKEN
    spared = Work("stream")
    registry.add(spared)
    assert spared.reason is None


def test_tokens_are_forgotten_when_their_time_is_over() -> None:
    registry = WorkRegistry(remember_seconds=0.0)
    registry.cancel("token")
    time.sleep(0.001)
    work = Work("token")
    registry.add(work)
    assert work.reason is None


def test_of_too_many_tokens_those_that_were_used_longest_ago_are_forgotten() -> None:
    registry = WorkRegistry(remember_most=2)
    for token in ("a", "b", "a", "c"):
        registry.cancel(token)
    works = {token: Work(token) for token in "abc"}
    for work in works.values():
        registry.add(work)
    assert {token: work.reason for token, work in works.items()} == {
        "a": CancelReason.TOKEN,
        "b": None,
        "c": CancelReason.TOKEN,
    }


class CountedWork(Work):
    """Counts how often it was ended."""

    ends = 0

    def end(self, reason: CancelReason) -> bool:
        is_ended_now = super().end(reason)
        self.ends += is_ended_now
        return is_ended_now


def test_none_is_missed_and_none_ended_twice_while_threads_add_and_cancel() -> None:
    registry = WorkRegistry()
    tokens = [f"token-{number}" for number in range(10)]
    works = [CountedWork(token) for token in tokens * 40]
    with ThreadPoolExecutor(8) as pool:
        coming = [pool.submit(registry.add, work) for work in works[:200]]
        for token in tokens:
            pool.submit(registry.cancel, token)
        coming += [pool.submit(registry.add, work) for work in works[200:]]
        for done in coming:
            done.result()
    assert [work.ends for work in works] == [1] * len(works)
