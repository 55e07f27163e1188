"""`ocrvl.instances.engine`: what an instance says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest

from ocrvl.instances.engine import EngineInstance
from ocrvl.metrics.definitions import EngineState
from ocrvl.metrics.mirror import Family, Kind
from ocrvl.serving.locate import find_model_repository
from ocrvl.triton.context import ModelContext
from ocrvl.wire import Model


class Log:
    def info(self, line: str) -> None:
        raise AssertionError(line)

    warning = info


def no_metrics(name: str, description: str, kind: Kind) -> Family:
    raise AssertionError(name)


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineInstance]:
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
        instance = EngineInstance(context, no_metrics, Log())
        yield instance
        instance._loop.stop()


@pytest.mark.parametrize("state", EngineState)
def test_an_instance_is_ready_while_its_engine_is(instance: EngineInstance, state: EngineState) -> None:
    assert not instance.is_ready
    instance._supervisor.state = state
    assert instance.is_ready is (state is EngineState.READY)
