"""`ocrvl.models.cancel_scope`: a request is ended once, by any thread, for one reason."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ocrvl.errors import Cancelled
from ocrvl.metrics.definitions import CancelReason
from ocrvl.models.cancel_scope import CancelRegistry, CancelScope
from ocrvl.triton.loop import LoopThread
from tests.support.doubles import WAIT_SECONDS


def test_a_request_is_ended_once_and_for_the_first_reason() -> None:
    scope = CancelScope()
    scope.check()
    assert scope.end(CancelReason.CALLER)
    assert not scope.end(CancelReason.TOKEN)
    assert scope.reason is CancelReason.CALLER


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
    scope = CancelScope()
    if reason:
        scope.end(reason)
        with pytest.raises(Cancelled, match=words):
            scope.check()
    assert str(scope.error()) == words


def test_of_many_threads_that_end_a_request_one_did() -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            scope = CancelScope()
            assert sum(pool.map(scope.end, [CancelReason.TOKEN, CancelReason.CALLER] * 4)) == 1


def test_ending_a_request_wakes_the_loop_of_its_task_and_cancels_it() -> None:
    loop, scope = LoopThread("test"), CancelScope()
    is_attached, is_cancelled = threading.Event(), threading.Event()

    async def be_running() -> None:
        task = asyncio.current_task()
        assert task is not None
        scope.attach(task)
        is_attached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()

    loop.submit(be_running())
    assert is_attached.wait(WAIT_SECONDS)
    # by now the loop is asleep
    time.sleep(0.02)
    assert scope.end(CancelReason.TOKEN)
    assert is_cancelled.wait(WAIT_SECONDS)
    loop.stop()


def test_a_task_that_was_detached_is_not_cancelled_even_by_an_end_that_came_before() -> None:
    async def scenario() -> None:
        scope = CancelScope()
        task: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(0.01))
        scope.attach(task)
        scope.end(CancelReason.CALLER)
        scope.detach()
        await task

    asyncio.run(scenario())


def test_a_task_that_is_attached_to_a_request_that_was_ended_is_cancelled() -> None:
    async def scenario() -> None:
        scope = CancelScope()
        await asyncio.to_thread(scope.end, CancelReason.CALLER)
        task: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(3600))
        scope.attach(task)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


def test_a_token_ends_all_its_requests_and_no_other_and_counts_what_it_ended_now() -> None:
    registry = CancelRegistry()
    ours, also_ours, other = CancelScope("token-a", "stream-1"), CancelScope("token-a"), CancelScope("token-b")
    for scope in (ours, also_ours, other, CancelScope()):
        registry.add(scope)
    assert registry.cancel("token-a") == 2
    assert [scope.reason for scope in (ours, also_ours, other)] == [CancelReason.TOKEN, CancelReason.TOKEN, None]
    assert registry.cancel("token-a") == 0
    assert registry.cancel("stream-1") == 0
    assert registry.cancel("unheard of") == 0


def test_a_request_that_has_its_answer_is_not_counted() -> None:
    registry = CancelRegistry()
    scope, other = CancelScope("token", "stream"), CancelScope("token")
    registry.add(scope)
    registry.add(other)
    registry.remove(scope)
    registry.remove(scope)
    assert registry.cancel("token") == 1
    assert scope.reason is None
    registry.remove(other)


def test_a_request_that_comes_after_its_token_is_ended_at_once() -> None:
    registry = CancelRegistry()
    assert registry.cancel("token") == 0
    for scope in (CancelScope("token"), CancelScope("stream", "token")):
        registry.add(scope)
        assert scope.reason is CancelReason.TOKEN
    spared = CancelScope("stream")
    registry.add(spared)
    assert spared.reason is None


def test_tokens_are_forgotten_when_their_time_is_over() -> None:
    registry = CancelRegistry(remember_seconds=0.0)
    registry.cancel("token")
    time.sleep(0.001)
    scope = CancelScope("token")
    registry.add(scope)
    assert scope.reason is None


def test_of_too_many_tokens_those_that_were_used_longest_ago_are_forgotten() -> None:
    registry = CancelRegistry(remember_most=2)
    for token in ("a", "b", "a", "c"):
        registry.cancel(token)
    scopes = {token: CancelScope(token) for token in "abc"}
    for scope in scopes.values():
        registry.add(scope)
    assert {token: scope.reason for token, scope in scopes.items()} == {
        "a": CancelReason.TOKEN,
        "b": None,
        "c": CancelReason.TOKEN,
    }


class CountedScope(CancelScope):
    """Counts how often it was ended."""

    ends = 0

    def end(self, reason: CancelReason) -> bool:
        is_ended_now = super().end(reason)
        self.ends += is_ended_now
        return is_ended_now


def test_none_is_missed_and_none_ended_twice_while_threads_add_and_cancel() -> None:
    registry = CancelRegistry()
    tokens = [f"token-{number}" for number in range(10)]
    scopes = [CountedScope(token) for token in tokens * 40]
    with ThreadPoolExecutor(8) as pool:
        coming = [pool.submit(registry.add, scope) for scope in scopes[:200]]
        for token in tokens:
            pool.submit(registry.cancel, token)
        coming += [pool.submit(registry.add, scope) for scope in scopes[200:]]
        for done in coming:
            done.result()
    assert [scope.ends for scope in scopes] == [1] * len(scopes)
