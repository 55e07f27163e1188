"""A model that is replaced by its next version while requests come."""

from __future__ import annotations

import shutil
import threading
from itertools import groupby
from pathlib import Path

import tritonclient.grpc as triton_grpc

from ocrvl.launcher.exposure import Endpoint
from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.harness.server import server_options
from perf.harness.tensors import bytes_tensor, encode_inputs
from tests.support.starting import start_server
from tests.support.streams import wait_for

TOKEN = encode_inputs({Tensor.CANCEL_TOKEN: bytes_tensor(b"of-nobody-at-all")})


class Caller:
    """Sends one request after another until the block ends; the versions that answered, and what failed."""

    def __init__(self, server: TritonServer) -> None:
        self.versions: list[str] = []
        self.failures: list[Exception] = []
        self._url = server.grpc_url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        with triton_grpc.InferenceServerClient(self._url) as client:
            while not self._stop.is_set():
                try:
                    self.versions.append(client.infer(Model.CANCEL.value, TOKEN).get_response().model_version)
                except Exception as failure:
                    self.failures.append(failure)


def test_a_new_version_of_a_model_takes_over_and_goes_back_and_no_request_fails(tmp_path: Path) -> None:
    """With a model that needs no engine, so that it takes seconds."""
    shutil.copytree(find_model_repository() / Model.CANCEL, tmp_path / Model.CANCEL)
    options = server_options(tmp_path, models=(Model.CANCEL.value,), opened=(Endpoint.REPOSITORY,))
    with (
        start_server(options) as server,
        Caller(server) as caller,
        triton_grpc.InferenceServerClient(server.grpc_url) as operator,
    ):
        wait_for(lambda: "1" in caller.versions)
        shutil.copytree(tmp_path / Model.CANCEL / "1", tmp_path / Model.CANCEL / "2")
        operator.load_model(Model.CANCEL.value)
        wait_for(lambda: caller.versions[-1] == "2")
        shutil.rmtree(tmp_path / Model.CANCEL / "2")
        operator.load_model(Model.CANCEL.value)
        wait_for(lambda: caller.versions[-1] == "1")
    assert not caller.failures
    assert [version for version, _ in groupby(caller.versions)] == ["1", "2", "1"]
