"""`ocrvl.models.stream.dispatcher`: what a caller of `ocr_stream` gets, and when the next is admitted."""

from __future__ import annotations

import asyncio
import time

import pytest

import ocrvl.models.stream.dispatcher
from ocrvl.control_channel.messages import Availability, AvailabilityChanged, Delta, Done, End, Message, Taken
from ocrvl.errors import Cancelled, InvalidArgument, OcrError, Unavailable
from ocrvl.messages import Reading, encode_delta, encode_done
from ocrvl.metrics.definitions import CancelReason
from ocrvl.wire import FinishReason
from tests.support.benches import Ocr, running_ocr, wait_for_cancel, wait_for_permission
from tests.support.doubles import WAIT_SECONDS, assert_failed, until, wait_until

_SOUP = Reading(0, "Soup", FinishReason.STOP, 5, 2)
_BREAD = Reading(1, "Bread", FinishReason.LENGTH, 5, 1)


@pytest.mark.parametrize("is_answered_first", [False, True])
def test_pieces_come_first_and_each_image_once_it_is_done_and_then_the_end(is_answered_first: bool) -> None:
    async def script(ocr: Ocr, stream: str) -> None:
        def speak() -> None:
            pieces = [Delta(stream, 1, "Bre"), Delta(stream, 0, "Soup"), Delta(stream, 1, "ad")]
            messages: list[Message] = [Taken(stream), *pieces, Done(stream, _BREAD), Done(stream, _SOUP), End(stream)]
            for message in messages:
                ocr.say(message)

        asyncio.get_running_loop().call_later(0.01, speak)
        if not is_answered_first:
            await asyncio.sleep(0.02)

    with running_ocr(script) as ocr:
        call = ocr.take()
        assert call.wait() is None
        pieces = [encode_delta(1, "Bre"), encode_delta(0, "Soup"), encode_delta(1, "ad")]
        assert call.sent == [*pieces, encode_done(_BREAD), encode_done(_SOUP)]
        assert (call.lasts, ocr.deltas, ocr.cancelled, ocr.reasons) == ([None], 3, [], [])


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (InvalidArgument("image 0: it has no bytes"), InvalidArgument, "image 0: it has no bytes"),
        (Unavailable("Exceeds maximum queue size"), Unavailable, "Exceeds maximum queue size"),
        (RuntimeError("no such model"), Unavailable, "the call to ocr failed: .*no such model"),
    ],
)
def test_an_error_of_ocr_is_the_answer(raised: Exception, error: type[OcrError], message: str) -> None:
    async def script(ocr: Ocr, stream: str) -> None:
        raise raised

    with running_ocr(script) as ocr:
        call = ocr.take()
        assert_failed(call, error, message)
        assert (call.sent, ocr.cancelled, ocr.reasons) == ([], [], [])


def test_an_error_of_ocr_is_the_answer_though_the_text_has_ended() -> None:
    async def script(ocr: Ocr, stream: str) -> None:
        ocr.say(Done(stream, _SOUP))
        ocr.say(End(stream))
        await asyncio.sleep(0.02)
        raise Unavailable("gone")

    with running_ocr(script) as ocr:
        call = ocr.take()
        assert_failed(call, Unavailable, "gone")
        assert call.sent == [encode_done(_SOUP)]


def test_options_that_do_not_fit_are_refused_and_never_sent_on() -> None:
    with running_ocr(wait_for_permission, max_calls=1) as ocr:
        for _ in range(2):
            call = ocr.request('{"colour": 1}')
            ocr.dispatcher.take(call)
            assert_failed(call, InvalidArgument, "unknown key 'colour'")
        assert ocr.asked == []


def test_a_stream_fails_at_once_when_its_engine_is_lost_and_no_other_does() -> None:
    async def script(ocr: Ocr, stream: str) -> None:
        ocr.say(Taken(stream), replica=f"engine {len(ocr.asked)}")
        await wait_for_permission(ocr, stream)

    with running_ocr(script) as ocr:
        first, second = ocr.take(), ocr.take()
        ocr.lose("engine 1")
        assert_failed(first, Unavailable, "the engine's process has ended")
        assert (second.lasts, ocr.open_streams) == ([], 2)
        ocr.may_answer = True
        assert second.wait() is None


def test_a_stream_that_no_engine_has_taken_loses_none() -> None:
    with running_ocr(wait_for_permission) as ocr:
        call = ocr.take()
        ocr.lose("e")
        ocr.may_answer = True
        assert call.wait() is None


def test_a_stream_is_cancelled_in_the_engine_when_its_caller_goes_away() -> None:
    with running_ocr(wait_for_cancel) as ocr:
        gone, there = ocr.take(), ocr.take()
        gone.is_gone = True
        ocr.dispatcher.end_abandoned()
        assert_failed(gone, Cancelled, "its caller went away")
        wait_until(lambda: ocr.cancelled)
        wait_until(lambda: ocr.reasons)
        assert (ocr.cancelled, ocr.reasons, there.lasts) == (ocr.asked[:1], [CancelReason.CALLER], [])
        there.is_gone = True
        ocr.dispatcher.end_abandoned()


def test_a_stream_is_cancelled_in_the_engine_when_its_time_is_over() -> None:
    with running_ocr(wait_for_cancel) as ocr:
        assert_failed(ocr.take('{"timeout_ms": 30}'), Cancelled, "timeout_ms has passed")
        wait_until(lambda: ocr.cancelled)
        wait_until(lambda: ocr.reasons)
        assert (ocr.cancelled, ocr.reasons) == (ocr.asked, [CancelReason.TIMEOUT])


def test_the_room_of_a_stream_that_was_ended_is_free_only_when_ocr_has_answered() -> None:
    with running_ocr(wait_for_cancel, max_calls=1) as ocr:
        gone = ocr.take()
        gone.is_gone = True
        ocr.dispatcher.end_abandoned()
        assert_failed(gone, Cancelled, "its caller went away")
        wait_until(lambda: ocr.cancelled)
        late = ocr.request('{"timeout_ms": 150}')
        ocr.dispatcher.take(late)
        assert_failed(late, Cancelled, "timeout_ms has passed")
        assert (len(ocr.asked), ocr.open_streams) == (1, 1)
        ocr.may_answer = True
        wait_until(lambda: not ocr.open_streams)
        ocr.script = wait_for_permission
        assert ocr.take().wait() is None


def test_taking_waits_for_room_and_goes_on_when_there_is_some() -> None:
    with running_ocr(wait_for_permission, max_calls=2) as ocr:
        calls = [ocr.take(), ocr.take(), ocr.request(), ocr.request()]
        threads = [ocr.take_in_thread(call) for call in calls[2:]]
        threads[0].join(0.05)
        assert all(thread.is_alive() for thread in threads)
        assert (len(ocr.asked), ocr.open_streams) == (2, 2)
        ocr.may_answer = True
        assert [call.wait() for call in calls] == [None] * 4
        for thread in threads:
            thread.join(WAIT_SECONDS)
        assert len(ocr.asked) == 4


def test_a_caller_that_goes_away_while_it_waits_for_room_is_not_served() -> None:
    with running_ocr(wait_for_permission, max_calls=1) as ocr:
        first, waiting = ocr.take(), ocr.request()
        thread = ocr.take_in_thread(waiting)
        waiting.is_gone = True
        wait_until(lambda: ocr.dispatcher.end_abandoned() and waiting.lasts)
        assert_failed(waiting, Cancelled, "its caller went away")
        thread.join(WAIT_SECONDS)
        ocr.may_answer = True
        assert first.wait() is None
        assert len(ocr.asked) == 1


def test_an_answer_whose_end_is_never_heard_fails_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    # the dispatcher takes no setting for it, and 5 s are too long for a unit test
    monkeypatch.setattr(ocrvl.models.stream.dispatcher, "_LAST_MESSAGES_SECONDS", 0.05)

    async def script(ocr: Ocr, stream: str) -> None:
        ocr.say(Taken(stream))
        ocr.say(Delta(stream, 0, "So"))

    with running_ocr(script) as ocr:
        call = ocr.take()
        assert isinstance(call.wait(), OcrError)
        assert (call.sent, len(call.lasts)) == ([encode_delta(0, "So")], 1)


def test_what_is_said_to_nobody_is_heard_by_nobody() -> None:
    with running_ocr(wait_for_permission) as ocr:
        call = ocr.take()
        for message in (
            AvailabilityChanged(Availability.READY),
            Taken("x"),
            Delta("x", 0, "Soup"),
            Done("x", _SOUP),
            End("x"),
        ):
            ocr.hear(message)
        ocr.may_answer = True
        assert call.wait() is None
        assert call.sent == []


def test_many_streams_at_a_time_each_get_their_own_text() -> None:
    async def script(ocr: Ocr, stream: str) -> None:
        number = str(len(ocr.asked))
        ocr.say(Taken(stream))
        for piece in range(20):
            ocr.say(Delta(stream, piece, number))
            await asyncio.sleep(0)
        ocr.say(End(stream))

    with running_ocr(script, max_calls=8) as ocr:
        calls = [ocr.take() for _ in range(40)]
        assert [call.wait() for call in calls] == [None] * 40
        for number, call in enumerate(calls, start=1):
            assert call.sent == [encode_delta(piece, str(number)) for piece in range(20)]


def test_a_caller_that_is_looked_at_again_while_its_stream_is_being_cancelled_is_answered_and_leaves() -> None:
    class SlowlyCancelling(Ocr):
        async def cancel(self, token: str) -> int:
            self.cancelled.append(token)
            await until(lambda: self.may_answer)
            return 1

    ocr = SlowlyCancelling(wait_for_cancel, 1)
    call = ocr.take()
    call.is_gone = True
    ocr.dispatcher.end_abandoned()
    wait_until(lambda: ocr.cancelled)
    ocr.dispatcher.end_abandoned()
    time.sleep(0.02)
    ocr.may_answer = True
    assert_failed(call, Cancelled, "its caller went away")
    wait_until(lambda: not ocr.open_streams)
    ocr.script = wait_for_permission
    assert ocr.take().wait() is None


def test_an_answer_whose_end_is_never_heard_is_not_called_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocrvl.models.stream.dispatcher, "_LAST_MESSAGES_SECONDS", 0.05)

    async def script(ocr: Ocr, stream: str) -> None:
        ocr.say(Taken(stream))

    with running_ocr(script) as ocr:
        call = ocr.take()
        with pytest.raises(Unavailable):
            call.texts()
        assert ocr.reasons == []


def test_a_stream_that_fails_here_is_ended_in_the_engine() -> None:
    async def script(ocr: Ocr, stream: str) -> None:
        ocr.say(Taken(stream))
        await until(lambda: ocr.may_answer)

    with running_ocr(script) as ocr:
        call = ocr.take()
        ocr.lose("e")
        with pytest.raises(Unavailable):
            call.texts()
        assert ocr.cancelled == ocr.asked


def test_a_stream_that_is_ended_while_it_waits_for_room_is_counted() -> None:
    with running_ocr(wait_for_permission, max_calls=1) as ocr:
        ocr.take()
        late = ocr.request('{"timeout_ms": 50}')
        ocr.dispatcher.take(late)
        with pytest.raises(Cancelled):
            late.texts()
        wait_until(lambda: ocr.reasons == [CancelReason.TIMEOUT])
