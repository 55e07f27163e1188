"""Streams as any caller of Triton may open them, and what the server says of itself meanwhile."""

from __future__ import annotations

import json
import queue
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import tritonclient.grpc as triton_grpc
from prometheus_client.parser import text_string_to_metric_families

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.harness.tensors import bytes_tensor, encode_inputs
from tests.support.raw import TIMEOUT

LONG: Mapping[str, Any] = {"regex": "[a-z]{3500}", "stop_repetition": False}
"""Options with which an image of anything takes seconds."""


class Stream:
    """One gRPC stream with one request on it."""

    def __init__(
        self, server: TritonServer, tensors: Mapping[Tensor, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        self._answers: queue.Queue[tuple[Any, Exception | None]] = queue.Queue()
        self._client = triton_grpc.InferenceServerClient(server.grpc_url)
        self._client.start_stream(lambda result, error: self._answers.put((result, error)), headers=headers)
        self._client.async_stream_infer(
            Model.STREAM.value, encode_inputs(tensors), request_id="test", enable_empty_final_response=True
        )

    def __iter__(self) -> Iterator[dict[Tensor, Any]]:
        while True:
            result, error = self._answers.get(timeout=TIMEOUT)
            if error:
                raise error
            answer = result.get_response()
            if answer.parameters["triton_final_response"].bool_param:
                return
            yield {Tensor(output.name): result.as_numpy(output.name)[0] for output in answer.outputs}

    def close(self) -> None:
        """Close it, whatever is in progress."""
        self._client.stop_stream(cancel_requests=True)
        self._client.close()


@contextmanager
def opened(server: TritonServer, tensors: Mapping[Tensor, Any]) -> Iterator[Stream]:
    stream = Stream(server, tensors)
    try:
        yield stream
    finally:
        stream.close()


def post(server: TritonServer, path: str, body: Mapping[str, Any]) -> Any:
    """Send JSON over HTTP; the open answer."""
    request = urllib.request.Request(f"http://{server.http_url}/v2/models/{path}", data=json.dumps(body).encode())
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def cancel(server: TritonServer, token: str) -> int:
    """Call the model `cancel`."""
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        answer = client.infer(Model.CANCEL.value, encode_inputs({Tensor.CANCEL_TOKEN: bytes_tensor(token.encode())}))
        return int(answer.as_numpy(Tensor.CANCELLED.value)[0])


def metric(server: TritonServer, name: str, **labels: str) -> float:
    """The sum of a metric's series that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(scrape(server))
        for sample in family.samples
        # the parser calls every counter's samples `…_total`
        if sample.name in (name, f"{name}_total") and labels.items() <= sample.labels.items()
    )


def scrape(server: TritonServer) -> str:
    """Triton's metrics; asked again where the connection is reset, which a thousand requests at once did once."""
    url = f"http://{server.options.host}:{server.metrics_port}/metrics"
    with suppress(ConnectionResetError):
        return _get(url)
    return _get(url)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        text: str = answer.read().decode()
    return text


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something holds; metrics are published once a second."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come to hold"
        time.sleep(0.1)
