"""`ocrvl.models.engine.dispatcher`: every request is answered once, whatever happens, and leaves nothing behind."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ocrvl.control_channel.messages import Availability, Delta, Done, End, Taken
from ocrvl.errors import Cancelled, InternalError, InvalidArgument, OcrError, Unavailable
from ocrvl.messages import Reading
from ocrvl.metrics.definitions import CancelReason, Outcome
from ocrvl.models.engine.request import EngineRequest
from ocrvl.options import Options
from ocrvl.wire import PART_PARAMETER, STREAM_PARAMETER, EngineState, FinishReason, Tensor
from tests.support.benches import EngineBench
from tests.support.doubles import GRID, WAIT_SECONDS, MemoryCall, NoPostprocessing, assert_failed, pack, wait_until

_LIMIT = 3
_TOKEN = "token-of-sixteen"
_WITH_TOKEN = Options(cancel_token=_TOKEN)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[EngineBench]:
    bench = EngineBench(tmp_path, _LIMIT)
    yield bench
    # fails what is still being read
    bench.engine.is_dying = True
    bench.stop()
    assert bench.admission.admitted == 0
    assert bench.engine.at_work == 0


def test_images_are_answered_in_their_order(bench: EngineBench) -> None:
    call = bench.send(pack(3), "Soup of the day", "Bread", "Salt")
    assert call.texts() == ["Soup of the day", "Bread", "Salt"]
    request = bench.request()
    assert (request.outcome, request.error, request.trace_headers) == (Outcome.OK, None, {"traceparent": "00-trace"})
    assert not request.is_part
    assert request.counts() == {"images": 3, "input_tokens": 15, "output_tokens": 6}
    assert request.cancelled_by is None
    assert 0 < request.waited < request.seconds
    assert bench.heard == []


def test_part_of_a_request_is_told_from_a_request(bench: EngineBench) -> None:
    assert bench.send(pack(), "Soup", **{PART_PARAMETER: True}).texts() == ["Soup"]
    assert bench.request().is_part


def test_nothing_is_kept_of_a_request_that_has_its_answer(bench: EngineBench) -> None:
    call = bench.send(pack(1, _WITH_TOKEN))
    assert call.texts() == ["Soup"]
    bench.request()
    bench.dispatcher.end_abandoned()
    assert call.looks == 0
    assert bench.loop.run(bench.client.cancel(_TOKEN)) == 0


def test_a_long_text_is_answered_like_any_other(bench: EngineBench) -> None:
    assert bench.send(pack(), "x" * 5000).texts() == ["x" * 5000]


def test_tensors_that_do_not_fit_are_refused_and_never_taken(bench: EngineBench) -> None:
    call = MemoryCall({**pack().encode_tensors(), Tensor.PATCHES: pack(2).encode_tensors()[Tensor.PATCHES]}, "id-7")
    bench.dispatcher.take(call)
    assert_failed(call, InvalidArgument, "the grids have 4 patches, there are 8")
    assert (bench.request().outcome, bench.request().images) == (Outcome.INVALID, 0)


def test_more_images_than_the_engine_ever_takes_are_refused(bench: EngineBench) -> None:
    assert_failed(bench.send(pack(_LIMIT + 1)), InvalidArgument, "4 images in one request, the engine takes 3")
    assert bench.request().outcome is Outcome.INVALID
    assert bench.request().waited == bench.request().seconds


@pytest.mark.parametrize(
    ("error", "kind", "message", "outcome"),
    [
        (InvalidArgument("too long"), InvalidArgument, "image 1: too long", Outcome.INVALID),
        (Unavailable("gone"), Unavailable, "image 1: gone", Outcome.UNAVAILABLE),
        (InternalError("odd"), InternalError, "image 1: odd", Outcome.INTERNAL),
        (ZeroDivisionError("by zero"), ZeroDivisionError, "by zero", Outcome.INTERNAL),
    ],
)
def test_an_error_of_the_engine_is_the_answer_and_ends_the_other_images(
    bench: EngineBench, error: Exception, kind: type[Exception], message: str, outcome: Outcome
) -> None:
    assert_failed(bench.send(pack(3), None, error, None), kind, message)
    assert (bench.request().outcome, bench.request().counts()["output_tokens"]) == (outcome, 0)


def end_by_token(bench: EngineBench, call: MemoryCall) -> None:
    assert bench.loop.run(bench.client.cancel(_TOKEN)) == 1


def end_by_stream(bench: EngineBench, call: MemoryCall) -> None:
    assert bench.loop.run(bench.client.cancel("stream")) == 1


def end_by_leaving(bench: EngineBench, call: MemoryCall) -> None:
    bench.dispatcher.end_abandoned()
    assert call.lasts == []
    call.is_gone = True
    bench.dispatcher.end_abandoned()


def end_by_death(bench: EngineBench, call: MemoryCall) -> None:
    bench.engine.is_dying = True


@pytest.mark.parametrize(
    ("end", "error", "message", "cancelled_by"),
    [
        (end_by_token, Cancelled, "cancelled by its token", CancelReason.TOKEN),
        (end_by_stream, Cancelled, "cancelled by its token", CancelReason.TOKEN),
        (end_by_leaving, Cancelled, "its caller went away", CancelReason.CALLER),
        (end_by_death, Unavailable, r"image \d: the engine stopped while it read this image", None),
    ],
)
def test_a_request_that_is_ended_while_it_is_read_is_answered_so(
    bench: EngineBench,
    end: Callable[[EngineBench, MemoryCall], None],
    error: type[OcrError],
    message: str,
    cancelled_by: CancelReason | None,
) -> None:
    call = bench.send_and_wait(pack(2, _WITH_TOKEN), **{STREAM_PARAMETER: f"{bench.client.name}/stream"})
    end(bench, call)
    assert_failed(call, error, message)
    assert (bench.request().outcome, bench.request().cancelled_by) == (Outcome.from_error(error()), cancelled_by)
    wait_until(lambda: bench.supervisor.state is EngineState.READY)
    assert bench.send(pack(_LIMIT), "Soup").texts() == ["Soup"] * _LIMIT


def test_a_request_whose_time_is_over_is_ended(bench: EngineBench) -> None:
    assert_failed(bench.send(pack(2, Options(timeout_ms=50)), "Soup", None), Cancelled, "timeout_ms has passed")
    assert bench.request().cancelled_by is CancelReason.TIMEOUT


def test_a_token_ends_requests_that_come_after_it(bench: EngineBench) -> None:
    assert bench.loop.run(bench.client.cancel(_TOKEN)) == 0
    assert_failed(bench.send(pack(1, _WITH_TOKEN)), Cancelled, "cancelled by its token")
    assert bench.request().cancelled_by is CancelReason.TOKEN


@pytest.mark.parametrize(
    ("end", "message", "reason"),
    [
        (end_by_token, "cancelled by its token", CancelReason.TOKEN),
        (end_by_leaving, "its caller went away", CancelReason.CALLER),
    ],
)
def test_a_request_that_is_ended_before_it_is_admitted_is_answered_and_was_never_admitted(
    bench: EngineBench, end: Callable[[EngineBench, MemoryCall], None], message: str, reason: CancelReason
) -> None:
    admitted = bench.send_and_wait(pack(_LIMIT), **{STREAM_PARAMETER: "nobody/stream"})
    waiting = MemoryCall(pack(1, _WITH_TOKEN).encode_tensors())
    execute = threading.Thread(target=bench.dispatcher.take, args=(waiting,), daemon=True)
    execute.start()
    wait_until(lambda: Availability.FULL in bench.announced)
    end(bench, waiting)
    assert_failed(waiting, Cancelled, message)
    execute.join(WAIT_SECONDS)
    assert (bench.request().cancelled_by, bench.admission.admitted, admitted.lasts) == (reason, _LIMIT, [])


def test_an_engine_that_is_restarting_refuses(bench: EngineBench) -> None:
    bench.admission.set_up(False)
    assert_failed(bench.send(pack()), Unavailable, "the engine is restarting")
    assert bench.request().outcome is Outcome.UNAVAILABLE


def test_a_stream_is_told_that_it_is_taken_then_its_text_then_that_it_is_done_then_the_end(
    bench: EngineBench,
) -> None:
    address = {STREAM_PARAMETER: f"{bench.client.name}/stream"}
    assert bench.send(pack(), "Soup of", **address).texts() == ["Soup of"]
    done = Done("stream", Reading(0, "Soup of", FinishReason.STOP, 5, 2))
    wait_until(lambda: len(bench.heard) == 5)
    assert bench.heard == [Taken("stream"), Delta("stream", 0, "Soup"), Delta("stream", 0, "of"), done, End("stream")]


def test_a_stream_hears_of_an_error_that_is_kept_and_not_of_one_that_is_the_answer(bench: EngineBench) -> None:
    address = {STREAM_PARAMETER: f"{bench.client.name}/stream"}
    assert_failed(bench.send(pack(), Unavailable("gone"), **address), Unavailable, "image 0: gone")
    assert bench.send(pack(1, Options(on_error="keep")), Unavailable("gone"), **address).texts() == [""]
    kept = Done("stream", Reading(0, error="[UNAVAILABLE] image 0: gone"))
    wait_until(lambda: len(bench.heard) == 4)
    assert bench.heard == [Taken("stream"), Taken("stream"), kept, End("stream")]


def test_a_stream_for_a_client_that_is_not_connected_is_answered_all_the_same(bench: EngineBench) -> None:
    assert bench.send(pack(), "Soup", **{STREAM_PARAMETER: "nobody/stream"}).texts() == ["Soup"]
    assert (bench.heard, bench.engine.pieces) == ([], 0)


@pytest.mark.parametrize(
    ("parameters", "client", "stream"),
    [
        ({}, "", ""),
        ({STREAM_PARAMETER: ""}, "", ""),
        ({STREAM_PARAMETER: "client"}, "", ""),
        ({STREAM_PARAMETER: 7}, "", ""),
        ({STREAM_PARAMETER: "client/stream"}, "client", "stream"),
    ],
)
def test_a_stream_s_address_is_a_client_and_a_name(parameters: dict[str, Any], client: str, stream: str) -> None:
    request = EngineRequest(MemoryCall(pack().encode_tensors(), parameters=parameters))
    request.decode(GRID)
    assert (request.stream_client, request.stream) == (client, stream)


def test_in_a_storm_of_ends_each_request_is_answered_once_and_none_is_left_admitted(bench: EngineBench) -> None:
    random = Random(3)
    calls: list[MemoryCall] = []
    for number in range(150):
        token, reply = f"token-of-request-{number}", random.randrange(4)
        packed = pack(random.randint(1, _LIMIT), Options(cancel_token=token, seed=reply))
        bench.engine.replies = ("Soup", Unavailable("gone"), ValueError("odd"), None)
        call = MemoryCall(packed.encode_tensors())
        call.is_gone = random.random() < 0.2
        calls.append(call)
        if random.random() < 0.2:
            bench.registry.cancel(token)
        bench.dispatcher.take(call)
        bench.dispatcher.end_abandoned()
        # the others may be read, this one would be for ever
        if reply == 3:
            bench.registry.cancel(token)
        if number == 75:
            bench.engine.is_dying = True
    bench.loop.drain()
    assert [len(call.lasts) for call in calls] == [1] * len(calls)
    assert len(bench.finished) == len(calls)
    outcomes = {Outcome.OK, Outcome.UNAVAILABLE, Outcome.CANCELLED, Outcome.INTERNAL}
    assert {request.outcome for request in bench.finished} == outcomes


def test_a_time_limit_that_runs_out_over_postprocessing_is_named(tmp_path: Path) -> None:
    class Slow(NoPostprocessing):
        def truncate_repetitive_content(self, content: str, *, min_count: int) -> str:
            time.sleep(0.3)
            return content

    bench = EngineBench(tmp_path, _LIMIT, Slow())
    call = bench.send(pack(1, Options(timeout_ms=100)), "x" * 5000)
    call.wait()
    bench.stop()
    assert_failed(call, Cancelled, "timeout_ms has passed")
    assert bench.request().cancelled_by is CancelReason.TIMEOUT


def test_a_request_whose_parameters_cannot_be_read_has_an_answer(tmp_path: Path) -> None:
    class BadCall(MemoryCall):
        @property
        def parameters(self) -> Any:
            raise json.JSONDecodeError("Invalid control character", "", 3)

        @parameters.setter
        def parameters(self, _value: Any) -> None:
            pass

    bench = EngineBench(tmp_path, 3)
    call = BadCall(pack().encode_tensors(), "id-7")
    bench.dispatcher.take(call)
    assert_failed(call, json.JSONDecodeError, "Invalid control character")
    assert bench.request().outcome is Outcome.INTERNAL
    bench.stop()
