"""`ocrvl.models.engine.model`: what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from tempfile import TemporaryDirectory

import pytest

from ocrvl.control_channel.address import channel_folder
from ocrvl.errors import InvalidArgument
from ocrvl.launcher.locate import find_model_repository
from ocrvl.metrics.mirror import Family, Kind
from ocrvl.models.engine.model import EngineModel
from ocrvl.models.engine.request import EngineRequest
from ocrvl.triton.context import ModelContext
from ocrvl.wire import EngineState, Model
from tests.support.doubles import MemoryCall


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
def model(monkeypatch: pytest.MonkeyPatch, log: Log) -> Iterator[EngineModel]:
    """A model as Triton makes it, whose engine has not been started."""
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
        model = EngineModel(context, no_metrics, log)
        yield model
        model._loop.stop()


@pytest.mark.parametrize("state", EngineState)
def test_the_model_is_ready_while_its_engine_is(model: EngineModel, state: EngineState) -> None:
    assert not model.is_ready
    model._supervisor.state = state
    assert model.is_ready is (state is EngineState.READY)


@pytest.mark.parametrize(
    ("is_part", "error", "level"),
    [(False, None, "info"), (True, None, "verbose"), (True, InvalidArgument("no"), "info")],
)
def test_a_request_has_its_line_and_a_document_s_blocks_only_where_they_went_wrong(
    model: EngineModel, log: Log, is_part: bool, error: Exception | None, level: str
) -> None:
    request = EngineRequest(MemoryCall({}, "id-7"))
    request.is_part = is_part
    request.finish(error)
    model._on_finished(request)
    assert log.lines == [(level, request.line())]


@pytest.mark.parametrize(
    ("kind", "arguments", "takes_turns"),
    [("GPU", {}, True), ("GPU", {"kv_cache_memory_bytes": 2**30}, False), ("CPU", {}, False)],
)
def test_engines_that_measure_a_gpu_s_memory_start_one_after_another(
    model: EngineModel, kind: str, arguments: dict[str, int], takes_turns: bool
) -> None:
    settings = model._engine_settings
    model._context = replace(model._context, kind=kind)
    model._engine_settings = replace(settings, engine_args={**settings.engine_args, **arguments})

    async def locks() -> list[str]:
        async with model._startup_lock():
            return [file.name for file in channel_folder().glob("*.lock")]

    assert asyncio.run(locks()) == (["start-gpu0.lock"] if takes_turns else [])
