"""Rare turns of the engine's modules: races, wrong input from a stub, processes that do not end."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import ocrvl.models.stream.streaming
from ocrvl.control_channel.address import socket_path
from ocrvl.control_channel.engine_gate import EngineGate
from ocrvl.control_channel.messages import Availability, AvailabilityChanged, Hello, Taken, encode_message
from ocrvl.errors import Cancelled, Unavailable
from ocrvl.metrics.definitions import CancelReason
from ocrvl.models.engine.devices import device_environment
from ocrvl.models.engine.host import EngineHost
from ocrvl.options import Options
from tests.support.benches import HostBench, Ocr, Policy, Workshop, running_ocr
from tests.support.doubles import GRID, NoPostprocessing, ScriptedEngine, assert_failed, pack, until, wait_until
from tests.unit.control_channel.test_control_channel import running_engine
from tests.unit.models.engine.test_request_record import _RECORD
from tests.unit.models.stream.test_streaming import wait_for_cancel, wait_for_permission

# streaming


def test_a_caller_that_is_looked_at_again_while_its_stream_is_being_cancelled_is_answered_and_frees_its_room() -> None:
    class SlowlyCancelling(Ocr):
        async def cancel(self, token: str) -> int:
            self.cancelled.append(token)
            await until(lambda: self.may_answer)
            return 1

    ocr = SlowlyCancelling(wait_for_cancel, 1)
    call = ocr.take()
    call.is_gone = True
    ocr.host.end_abandoned()
    wait_until(lambda: ocr.cancelled)
    ocr.host.end_abandoned()
    time.sleep(0.02)
    ocr.may_answer = True
    assert_failed(call, Cancelled, "its caller went away")
    wait_until(lambda: not ocr.host.open_streams)
    ocr.script = wait_for_permission
    assert ocr.take().wait() is None


def test_an_answer_whose_end_is_never_heard_is_not_called_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocrvl.models.stream.streaming, "_LAST_MESSAGES_SECONDS", 0.05)

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
        ocr.host.take(late, ocr.loop)
        with pytest.raises(Cancelled):
            late.texts()
        assert ocr.reasons == [CancelReason.TIMEOUT]


# engine/host


def test_a_time_limit_that_runs_out_over_postprocessing_is_named(tmp_path: Path) -> None:
    class Slow(NoPostprocessing):
        def truncate_repetitive_content(self, content: str, *, min_count: int) -> str:
            time.sleep(0.3)
            return content

    bench = HostBench(tmp_path, 3)
    bench.host = EngineHost(
        bench.supervisor, bench.admission, bench.channel, bench.works, Slow(), GRID, bench.records.append
    )
    call = bench.send(pack(1, Options(timeout_ms=100)), "x" * 5000)
    call.wait()
    bench.stop()
    assert_failed(call, Cancelled, "timeout_ms has passed")


# sidechannel


@pytest.mark.parametrize(
    "rubbish",
    [b'{"kind":"Cancel","token":[],"number":0}', b'{"kind":"Hello","client":[]}', b"[" * 100_000],
    ids=["token", "client", "depth"],
)
def test_a_face_that_sends_wrong_types_is_forgotten(tmp_path: Path, rubbish: bytes) -> None:
    async def scenario() -> None:
        async with running_engine(tmp_path, on_cancel=lambda token: len({token})) as engine:
            reader, writer = await asyncio.open_unix_connection(socket_path(tmp_path, "e"))
            writer.write(encode_message(Hello("bad")) + rubbish + b"\n")
            await reader.readline()
            assert await reader.read() == b""
            writer.close()
            assert not engine.knows("bad")

    asyncio.run(scenario())


def test_a_face_that_has_come_back_is_not_forgotten_when_its_old_connection_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_engine(tmp_path) as engine:
            writers = []
            for _ in range(2):
                reader, writer = await asyncio.open_unix_connection(socket_path(tmp_path, "e"))
                writer.write(encode_message(Hello("client")))
                await reader.readline()
                writers.append(writer)
            writers[0].close()
            await asyncio.sleep(0.02)
            is_known = engine.knows("client")
            writers[1].close()
            assert is_known

    asyncio.run(scenario())


def test_patience_is_counted_from_when_the_last_engine_was_lost() -> None:
    gate = EngineGate()
    gate.update("e", AvailabilityChanged(Availability.FULL))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gate.wait, None, 0.5)
        time.sleep(0.7)
        gate.lose("e")
        time.sleep(0.1)
        gate.update("e", AvailabilityChanged(Availability.READY))
        assert waiting.result(5) is None


# engine/record


@pytest.mark.parametrize("text", ["a\rb", "a\x1b[2J", "a\x85b", "a\u2028b", "a\x0bb", "a\x00"])
def test_no_control_character_of_a_caller_reaches_the_log(text: str) -> None:
    assert replace(_RECORD, request_id=text).line().isprintable()


# engine/devices


def test_cores_of_an_engine_on_a_gpu_need_no_number_in_its_name() -> None:
    device_environment("GPU", 1, "paddleocr_vl_0_gpu1", None, "0-3", {})


def test_an_instance_without_cores_is_told_so() -> None:
    with pytest.raises(ValueError, match="cpu_cores"):
        device_environment("CPU", 0, "paddleocr_vl_0_2", None, "0-3|4-7", {})


@pytest.mark.parametrize(("gpus", "visible"), [("0,-1", "4,5"), ("0", "")])
def test_a_device_that_can_not_be_there_is_refused(gpus: str, visible: str) -> None:
    with pytest.raises(ValueError, match="is asked for"):
        device_environment("MODEL", 0, "paddleocr_vl_0_0", gpus, None, {"CUDA_VISIBLE_DEVICES": visible})


# engine/supervisor


def test_an_engine_that_can_not_be_killed_is_replaced_all_the_same() -> None:
    class Unkillable(ScriptedEngine):
        def kill(self) -> None:
            raise OSError("not permitted")

    async def scenario() -> None:
        first = Unkillable()
        workshop = Workshop([first, ScriptedEngine()])
        async with workshop.supervisor(Policy()):
            first.is_dying = True
            async with asyncio.timeout(2):
                await until(lambda: workshop.starts == 2)

    asyncio.run(scenario())
