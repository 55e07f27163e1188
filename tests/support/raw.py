"""Requests as any caller of Triton may make them, without our client's checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.harness.tensors import encode_inputs

PROTOCOLS = ("grpc", "http")
TIMEOUT = 60.0


def infer(
    server: TritonServer,
    protocol: str,
    inputs: Mapping[Tensor, Any],
    outputs: tuple[Tensor, ...] = (Tensor.TEXT,),
    model: Model = Model.OCR,
) -> dict[Tensor, Any]:
    """Send one request; raises tritonclient's own exception."""
    module: Any = triton_grpc if protocol == "grpc" else triton_http
    wanted = [module.InferRequestedOutput(name.value) for name in outputs]
    filled = encode_inputs(inputs, protocol)
    if protocol == "grpc":
        with triton_grpc.InferenceServerClient(server.grpc_url) as client:
            result = client.infer(model.value, filled, outputs=wanted, client_timeout=TIMEOUT)
    else:
        with triton_http.InferenceServerClient(server.http_url, network_timeout=TIMEOUT) as client:
            result = client.infer(model.value, filled, outputs=wanted)
    return {name: result.as_numpy(name.value) for name in outputs}
