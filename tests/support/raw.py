"""Requests as any caller of Triton may make them, without our client's checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import np_to_triton_dtype

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor

PROTOCOLS = ("grpc", "http")
TIMEOUT = 60.0


def texts(*values: bytes) -> Any:
    """A BYTES tensor [len(values)]."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


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
    filled = []
    for name, array in inputs.items():
        filled.append(module.InferInput(name.value, list(array.shape), np_to_triton_dtype(array.dtype)))
        filled[-1].set_data_from_numpy(array)
    if protocol == "grpc":
        with triton_grpc.InferenceServerClient(server.grpc_url) as client:
            result = client.infer(model.value, filled, outputs=wanted, client_timeout=TIMEOUT)
    else:
        with triton_http.InferenceServerClient(server.http_url, network_timeout=TIMEOUT) as client:
            result = client.infer(model.value, filled, outputs=wanted)
    return {name: result.as_numpy(name.value) for name in outputs}
