"""An engine that has all the images that it takes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import tritonclient.grpc as triton_grpc

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model
from perf.harness.tensors import encode_inputs, image_tensors
from tests.support.streams import LONG, cancel, metric, wait_for

IN_FLIGHT: Final = "ocrvl_engine_images_in_flight"
LIMIT: Final = "ocrvl_engine_image_limit"


@contextmanager
def full_engine(server: TritonServer, png: bytes) -> Iterator[None]:
    """The engine has all the images that it takes, until the block ends; nothing else waits before or after."""
    limit = int(metric(server, LIMIT))
    token = uuid.uuid4().hex
    ended: list[str] = []
    wait_for(lambda: is_idle(server))
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        for _ in range(limit):
            tensors = encode_inputs(image_tensors(png, cancel_token=token, **LONG))
            client.async_infer(Model.OCR.value, tensors, lambda result, error: ended.append(str(error or result)))
        try:
            wait_for(lambda: bool(ended) or metric(server, IN_FLIGHT) == limit)
            assert not ended, "what should take long did not"
            yield
            assert not ended, "what should take long did not"
        finally:
            # again and again: one of them may not have reached the engine yet
            wait_for(lambda: cancel(server, token) == 0 and len(ended) == limit)
    wait_for(lambda: is_idle(server))


def is_idle(server: TritonServer) -> bool:
    """Whether nothing runs and nothing waits."""
    return metric(server, IN_FLIGHT) == 0 and metric(server, "nv_inference_pending_request_count") == 0
