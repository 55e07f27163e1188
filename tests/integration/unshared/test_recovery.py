"""Two engines side by side, on a server of their own: they share the load, die, stall, come back, and stay failed.

The tests build on one another, in their order: starting two engines takes a minute here.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import pytest
import tritonclient.grpc as triton_grpc
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from ocrvl.engine_settings import SETTINGS_FILE
from ocrvl.launcher.interfaces import Interface
from ocrvl.launcher.server import TritonServer
from ocrvl.repository.make import make_repository
from ocrvl.repository.options import Device, Parallel, RepositoryOptions
from ocrvl.wire import Model
from ocrvl_client import Client, OcrvlError, ServerUnavailable
from perf.harness.server import server_options
from perf.harness.tensors import encode_inputs, image_tensors
from tests.support.collector import Collector
from tests.support.starting import start_server
from tests.support.streams import metric, wait_for
from training.nano.world import World

FIRST, SECOND = "paddleocr_vl_0_0", "paddleocr_vl_0_1"
RESTART_SECONDS = 240
SETTINGS = {"stall_seconds": "5", "max_failures": "1", "trim_memory_seconds": "2"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector().running() as collector:
        yield collector


@pytest.fixture(scope="module")
def two_engines(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[TritonServer]:
    repository = tmp_path_factory.mktemp("two") / "repository"
    options = RepositoryOptions("nano", device=Device.CPU, engines=2, max_num_seqs=8, interfaces=(Interface.UNARY,))
    make_repository(repository, options)
    path = repository / Model.ENGINE / "config.pbtxt"
    config = text_format.Parse(path.read_text("utf-8"), ModelConfig())
    for key, value in SETTINGS.items():
        config.parameters[key].string_value = value
    path.write_text(text_format.MessageToString(config, as_utf8=True), "utf-8")
    settings = repository / Model.ENGINE / "1" / SETTINGS_FILE
    traced = {"otlp_traces_endpoint": collector.grpc_url}
    settings.write_text(json.dumps(json.loads(settings.read_text("utf-8")) | traced))
    with start_server(server_options(repository)) as server:
        yield server


def engine_core(server: TritonServer, replica: str) -> psutil.Process:
    """The engine's process of an instance, whose stub names the instance in its command line."""
    for stub in psutil.Process(server.pid).children():
        if replica in stub.cmdline():
            for process in stub.children():
                if "EngineCore" in " ".join(process.cmdline()):
                    return process
    raise AssertionError(f"{replica} has no engine")


def state(server: TritonServer, replica: str) -> float:
    return metric(server, "ocrvl_engine_state", replica=replica)


class Load:
    """Readings one after another in each of some threads, until the block ends; what came of them."""

    def __init__(self, server: TritonServer, threads: int = 8) -> None:
        drawings = [World(Random(31)).line() for _ in range(4)]
        self._files = [drawing.png() for drawing in drawings]
        self._url = server.grpc_url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.outcomes: Counter[str] = Counter()
        self.answered_at: list[float] = []

    def __enter__(self) -> Load:
        with Client(self._url, retry=None) as client:
            self._expected = [reading.text for reading in client.read_batch(self._files)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "a request hung"

    def _run(self) -> None:
        with Client(self._url, retry=None, timeout=60) as client:
            while not self._stop.is_set():
                for file, expected in zip(self._files, self._expected, strict=True):
                    try:
                        text = client.read(file).text
                    except ServerUnavailable:
                        self.outcomes["unavailable"] += 1
                    except OcrvlError as error:
                        self.outcomes[repr(error)] += 1
                    else:
                        self.outcomes["right" if text == expected else "wrong"] += 1
                        self.answered_at.append(time.monotonic())


def test_both_engines_read_and_read_the_same(two_engines: TritonServer) -> None:
    with Load(two_engines) as load:
        time.sleep(8)
    assert set(load.outcomes) == {"right"}
    wait_for(lambda: metric(two_engines, "ocrvl_images_total") > load.outcomes["right"])
    shares = [metric(two_engines, "ocrvl_images_total", replica=replica) for replica in (FIRST, SECOND)]
    assert min(shares) > 0.25 * sum(shares)


def test_engines_return_the_memory_that_they_have_freed(two_engines: TritonServer) -> None:
    for replica in (FIRST, SECOND):
        wait_for(lambda: metric(two_engines, "ocrvl_engine_memory_trims_total", replica=replica) > 0)  # noqa: B023
    with Load(two_engines):
        before = metric(two_engines, "ocrvl_engine_memory_trims_total", replica=FIRST)
        wait_for(lambda: metric(two_engines, "ocrvl_engine_memory_trims_total", replica=FIRST) > before)


def test_the_engine_s_spans_belong_to_the_caller_s_trace(two_engines: TritonServer, collector: Collector) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    files = [World(Random(33)).line().png()]
    with triton_grpc.InferenceServerClient(two_engines.grpc_url) as client:
        headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
        client.infer(Model.OCR.value, encode_inputs(image_tensors(*files)), headers=headers)
    wait_for(lambda: bool(collector.spans(trace_id)))


def test_one_engine_dies_the_other_goes_on_and_the_first_comes_back(two_engines: TritonServer) -> None:
    with Load(two_engines) as load:
        time.sleep(2)
        engine_core(two_engines, FIRST).kill()
        killed = time.monotonic()
        wait_for(lambda: state(two_engines, FIRST) == 0)
        wait_for(lambda: state(two_engines, FIRST) == 1, RESTART_SECONDS)
        back = time.monotonic()
    assert set(load.outcomes) <= {"right", "unavailable"}
    # at most what the engine had taken in, 8 and 1 prefetched, and what it held meanwhile
    assert load.outcomes["unavailable"] <= 16
    meanwhile = [moment for moment in load.answered_at if killed + 1 < moment < back - 1]
    assert len(meanwhile) > back - killed
    assert metric(two_engines, "ocrvl_engine_restarts_total", replica=FIRST, reason="died") == 1
    with Load(two_engines) as after:
        time.sleep(4)
    assert set(after.outcomes) == {"right"}


def test_an_engine_that_stalls_is_started_again(two_engines: TritonServer) -> None:
    with Load(two_engines) as load:
        time.sleep(2)
        engine_core(two_engines, SECOND).send_signal(signal.SIGSTOP)
        wait_for(lambda: state(two_engines, SECOND) == 0)
        wait_for(lambda: state(two_engines, SECOND) == 1, RESTART_SECONDS)
    assert set(load.outcomes) <= {"right", "unavailable"}
    assert 0 < load.outcomes["unavailable"] <= 16
    assert metric(two_engines, "ocrvl_engine_restarts_total", replica=SECOND, reason="stalled") == 1


def test_an_engine_that_fails_too_often_is_given_up_and_the_other_goes_on(two_engines: TritonServer) -> None:
    engine_core(two_engines, FIRST).kill()
    wait_for(lambda: state(two_engines, FIRST) == -1)
    assert state(two_engines, SECOND) == 1
    with Client(two_engines.grpc_url, timeout=60) as client:
        assert client.read(World(Random(7)).line("Soup of the day").png()).text == "Soup of the day"


def test_an_engine_over_two_processes_reads_the_same(tmp_path: Path, two_engines: TritonServer) -> None:
    """Tensor parallel, on a CPU: each rank has half of each layer."""
    options = RepositoryOptions("nano", Device.CPU, engines=2, parallel=Parallel.TENSOR, interfaces=(Interface.UNARY,))
    make_repository(tmp_path / "repository", options)
    world = World(Random(32))
    files = [world.line().png(), world.receipt(3).png()]
    with start_server(server_options(tmp_path / "repository")) as split, Client(split.grpc_url) as client:
        read = client.read_batch(files)
    with Client(two_engines.grpc_url) as client:
        assert [reading.text for reading in read] == [reading.text for reading in client.read_batch(files)]
