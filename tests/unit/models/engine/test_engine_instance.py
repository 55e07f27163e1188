"""`ocrvl.models.engine.model`: what an instance says of itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from tempfile import TemporaryDirectory

import pytest

from ocrvl.control_channel.address import channel_folder
from ocrvl.errors import InvalidArgument
from ocrvl.launcher.locate import find_model_repository
from ocrvl.metrics.mirror import Family, Kind
from ocrvl.models.engine.model import EngineModel
from ocrvl.models.request_record import RequestRecord
from ocrvl.triton.context import ModelContext
from ocrvl.wire import EngineState, Model


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def verbose(self, line: str) -> None:
        self.lines.append(("verbose", line))

    def info(self, line: str) -> None:
        self.lines.append(("info", line))

    def warning(self, line: str) -> None:
        raise AssertionError(line)


def no_metrics(name: str, description: str, kind: Kind) -> Family:
    raise AssertionError(name)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch, log: Log) -> Iterator[EngineModel]:
    """An instance as Triton makes it, whose engine has not been started."""
    context = ModelContext(
        name=Model.ENGINE,
        folder=find_model_repository() / Model.ENGINE,
        version="1",
        parameters={},
        replica="paddleocr_vl_0_0",
        kind="CPU",
        device=0,
        replicas=1,
        max_batch_size=0,
    )
    # pytest's folders make paths that are too long for sockets
    with TemporaryDirectory(prefix="o-") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        instance = EngineModel(context, no_metrics, log)
        yield instance
        instance._loop.stop()


@pytest.mark.parametrize("state", EngineState)
def test_an_instance_is_ready_while_its_engine_is(instance: EngineModel, state: EngineState) -> None:
    assert not instance.is_ready
    instance._supervisor.state = state
    assert instance.is_ready is (state is EngineState.READY)


@pytest.mark.parametrize(
    ("is_part", "error", "level"),
    [(False, None, "info"), (True, None, "verbose"), (True, InvalidArgument("no"), "info")],
)
def test_a_request_has_its_line_and_a_document_s_blocks_only_where_they_went_wrong(
    instance: EngineModel, log: Log, is_part: bool, error: Exception | None, level: str
) -> None:
    record = RequestRecord.of("id-7", time.monotonic(), error=error, is_part=is_part)
    instance._on_finished(record)
    assert log.lines == [(level, record.line())]


@pytest.mark.parametrize(
    ("kind", "arguments", "takes_turns"),
    [("GPU", {}, True), ("GPU", {"kv_cache_memory_bytes": 2**30}, False), ("CPU", {}, False)],
)
def test_engines_that_measure_a_gpu_s_memory_start_one_after_another(
    instance: EngineModel, kind: str, arguments: dict[str, int], takes_turns: bool
) -> None:
    settings = instance._engine_settings
    instance._context = replace(instance._context, kind=kind)
    instance._engine_settings = replace(settings, engine_args={**settings.engine_args, **arguments})

    async def locks() -> list[str]:
        async with instance._startup_lock():
            return [file.name for file in channel_folder().glob("*.lock")]

    assert asyncio.run(locks()) == (["start-gpu0.lock"] if takes_turns else [])
