"""Requests for measurements: tensors as tritonclient's gRPC inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc
from tritonclient.utils import np_to_triton_dtype

from ocrvl.wire import Tensor


def encode_text(data: bytes) -> Any:
    """A BYTES tensor of one element."""
    array = np.empty(1, dtype=object)
    array[0] = data
    return array


def encode_inputs(tensors: Mapping[Tensor, Any] | Mapping[str, Any]) -> list[Any]:
    """The tensors as inputs of one request."""
    filled = []
    for name, array in tensors.items():
        filled.append(triton_grpc.InferInput(str(name), list(array.shape), np_to_triton_dtype(array.dtype)))
        filled[-1].set_data_from_numpy(array)
    return filled
