"""`ocrvl.models.engine.host`: every request is answered once, whatever happens, and leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ocrvl.control_channel.messages import Availability, Delta, Done, End, Taken
from ocrvl.errors import Cancelled, InternalError, InvalidArgument, OcrError, Unavailable
from ocrvl.messages import Reading
from ocrvl.metrics.definitions import CancelReason, Outcome
from ocrvl.models.engine.host import StreamAddress
from ocrvl.options import Options
from ocrvl.wire import PART_PARAMETER, STREAM_PARAMETER, EngineState, FinishReason, Tensor
from tests.support.benches import HostBench
from tests.support.doubles import PATIENCE, MemoryCall, assert_failed, pack, wait_until

_LIMIT = 3
_TOKEN = "token-of-sixteen"
_WITH_TOKEN = Options(cancel_token=_TOKEN)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HostBench]:
    bench = HostBench(tmp_path, _LIMIT)
    yield bench
    # fails what is still being read
    bench.engine.is_dying = True
    bench.stop()
    assert bench.admission.inside == 0
    assert bench.engine.at_work == 0


def test_images_are_answered_in_their_order(bench: HostBench) -> None:
    call = bench.send(pack(3), "Soup of the day", "Bread", "Salt")
    assert call.texts() == ["Soup of the day", "Bread", "Salt"]
    record = bench.record()
    assert (record.request_id, record.trace, record.outcome, record.error) == ("id-7", "00-trace", Outcome.OK, "")
    assert not record.is_part
    assert (record.images, record.input_tokens, record.output_tokens) == (3, 15, 6)
    assert record.cancelled_by is None
    assert 0 < record.waited < record.seconds
    assert bench.heard == []


def test_part_of_a_request_is_told_from_a_request(bench: HostBench) -> None:
    assert bench.send(pack(), "Soup", **{PART_PARAMETER: True}).texts() == ["Soup"]
    assert bench.record().is_part


def test_nothing_is_kept_of_a_request_that_has_its_answer(bench: HostBench) -> None:
    call = bench.send(pack(1, _WITH_TOKEN))
    assert call.texts() == ["Soup"]
    bench.record()
    bench.host.end_abandoned()
    assert call.looks == 0
    assert bench.loop.run(bench.client.cancel(_TOKEN)) == 0


def test_a_long_text_is_answered_like_any_other(bench: HostBench) -> None:
    assert bench.send(pack(), "x" * 5000).texts() == ["x" * 5000]


def test_tensors_that_do_not_fit_are_refused_and_never_taken(bench: HostBench) -> None:
    call = MemoryCall({**pack().encode_tensors(), Tensor.PATCHES: pack(2).encode_tensors()[Tensor.PATCHES]}, "id-7")
    bench.host.take(call, bench.loop)
    assert_failed(call, InvalidArgument, "the grids have 4 patches, there are 8")
    assert (bench.record().outcome, bench.record().request_id, bench.record().images) == (Outcome.INVALID, "id-7", 0)


def test_more_images_than_the_engine_ever_takes_are_refused(bench: HostBench) -> None:
    assert_failed(bench.send(pack(_LIMIT + 1)), InvalidArgument, "4 images in one request, the engine takes 3")
    assert bench.record().outcome is Outcome.INVALID
    assert bench.record().waited == bench.record().seconds


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
    bench: HostBench, error: Exception, kind: type[Exception], message: str, outcome: Outcome
) -> None:
    assert_failed(bench.send(pack(3), None, error, None), kind, message)
    assert (bench.record().outcome, bench.record().output_tokens) == (outcome, 0)


def end_by_token(bench: HostBench, call: MemoryCall) -> None:
    assert bench.loop.run(bench.client.cancel(_TOKEN)) == 1


def end_by_stream(bench: HostBench, call: MemoryCall) -> None:
    assert bench.loop.run(bench.client.cancel("stream")) == 1


def end_by_leaving(bench: HostBench, call: MemoryCall) -> None:
    bench.host.end_abandoned()
    assert call.lasts == []
    call.is_gone = True
    bench.host.end_abandoned()


def end_by_death(bench: HostBench, call: MemoryCall) -> None:
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
    bench: HostBench,
    end: Callable[[HostBench, MemoryCall], None],
    error: type[OcrError],
    message: str,
    cancelled_by: CancelReason | None,
) -> None:
    call = bench.send_and_wait(pack(2, _WITH_TOKEN), **{STREAM_PARAMETER: f"{bench.client.name}/stream"})
    end(bench, call)
    assert_failed(call, error, message)
    assert (bench.record().outcome, bench.record().cancelled_by) == (Outcome.from_error(error()), cancelled_by)
    wait_until(lambda: bench.supervisor.state is EngineState.READY)
    assert bench.send(pack(_LIMIT), "Soup").texts() == ["Soup"] * _LIMIT


def test_a_request_whose_time_is_over_is_ended(bench: HostBench) -> None:
    assert_failed(bench.send(pack(2, Options(timeout_ms=50)), "Soup", None), Cancelled, "timeout_ms has passed")
    assert bench.record().cancelled_by is CancelReason.TIMEOUT


def test_a_token_ends_requests_that_come_after_it(bench: HostBench) -> None:
    assert bench.loop.run(bench.client.cancel(_TOKEN)) == 0
    assert_failed(bench.send(pack(1, _WITH_TOKEN)), Cancelled, "cancelled by its token")
    assert bench.record().cancelled_by is CancelReason.TOKEN


@pytest.mark.parametrize(
    ("end", "message", "reason"),
    [
        (end_by_token, "cancelled by its token", CancelReason.TOKEN),
        (end_by_leaving, "its caller went away", CancelReason.CALLER),
    ],
)
def test_a_request_that_is_ended_at_the_door_is_answered_and_was_never_inside(
    bench: HostBench, end: Callable[[HostBench, MemoryCall], None], message: str, reason: CancelReason
) -> None:
    inside = bench.send_and_wait(pack(_LIMIT), **{STREAM_PARAMETER: "nobody/stream"})
    waiting = MemoryCall(pack(1, _WITH_TOKEN).encode_tensors())
    execute = threading.Thread(target=bench.host.take, args=(waiting, bench.loop), daemon=True)
    execute.start()
    wait_until(lambda: Availability.FULL in bench.announced)
    end(bench, waiting)
    assert_failed(waiting, Cancelled, message)
    execute.join(PATIENCE)
    assert (bench.record().cancelled_by, bench.admission.inside, inside.lasts) == (reason, _LIMIT, [])


def test_an_engine_that_is_restarting_refuses(bench: HostBench) -> None:
    bench.admission.set_up(False)
    assert_failed(bench.send(pack()), Unavailable, "the engine is restarting")
    assert bench.record().outcome is Outcome.UNAVAILABLE


def test_a_stream_is_told_that_it_is_taken_then_its_text_then_that_it_is_done_and_at_the_end(bench: HostBench) -> None:
    address = {STREAM_PARAMETER: f"{bench.client.name}/stream"}
    assert bench.send(pack(), "Soup of", **address).texts() == ["Soup of"]
    done = Done("stream", Reading(0, "Soup of", FinishReason.STOP, 5, 2))
    wait_until(lambda: len(bench.heard) == 5)
    assert bench.heard == [Taken("stream"), Delta("stream", 0, "Soup"), Delta("stream", 0, "of"), done, End("stream")]


def test_a_stream_hears_of_an_error_that_is_kept_and_not_of_one_that_is_the_answer(bench: HostBench) -> None:
    address = {STREAM_PARAMETER: f"{bench.client.name}/stream"}
    assert_failed(bench.send(pack(), Unavailable("gone"), **address), Unavailable, "image 0: gone")
    assert bench.send(pack(1, Options(on_error="keep")), Unavailable("gone"), **address).texts() == [""]
    kept = Done("stream", Reading(0, error="[UNAVAILABLE] image 0: gone"))
    wait_until(lambda: len(bench.heard) == 4)
    assert bench.heard == [Taken("stream"), Taken("stream"), kept, End("stream")]


def test_a_stream_for_a_face_that_is_not_there_is_answered_all_the_same(bench: HostBench) -> None:
    assert bench.send(pack(), "Soup", **{STREAM_PARAMETER: "nobody/stream"}).texts() == ["Soup"]
    assert (bench.heard, bench.engine.pieces) == ([], 0)


@pytest.mark.parametrize(
    ("parameters", "address"),
    [
        ({}, None),
        ({STREAM_PARAMETER: ""}, None),
        ({STREAM_PARAMETER: "client"}, None),
        ({STREAM_PARAMETER: 7}, None),
        ({STREAM_PARAMETER: "client/stream"}, StreamAddress("client", "stream")),
    ],
)
def test_a_stream_s_address_is_a_face_and_a_name(parameters: dict[str, Any], address: StreamAddress | None) -> None:
    assert StreamAddress.of(parameters) == address


def test_in_a_storm_of_ends_each_request_is_answered_once_and_all_room_is_given_back(bench: HostBench) -> None:
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
            bench.works.cancel(token)
        bench.host.take(call, bench.loop)
        bench.host.end_abandoned()
        # the others may be read, this one would be for ever
        if reply == 3:
            bench.works.cancel(token)
        if number == 75:
            bench.engine.is_dying = True
    bench.loop.drain()
    assert [len(call.lasts) for call in calls] == [1] * len(calls)
    assert len(bench.records) == len(calls)
    outcomes = {Outcome.OK, Outcome.UNAVAILABLE, Outcome.CANCELLED, Outcome.INTERNAL}
    assert {record.outcome for record in bench.records} == outcomes
