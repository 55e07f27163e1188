"""Requests as tensors, and tensors as tritonclient's inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import np_to_triton_dtype

from ocrvl.wire import Tensor

_MODULES: Final = {"grpc": triton_grpc, "http": triton_http}


def bytes_tensor(*elements: bytes) -> Any:
    """A BYTES tensor [len(elements)]."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def image_tensors(*images: bytes, task: str | None = None, **options: Any) -> dict[Tensor, Any]:
    """The tensors of a request to `ocr`, `ocr_stream` or `preprocess`, without options where there are none."""
    tensors = {Tensor.IMAGE: bytes_tensor(*images)}
    if options:
        tensors[Tensor.OPTIONS] = bytes_tensor(json.dumps(options).encode())
    if task:
        tensors[Tensor.TASK] = bytes_tensor(task.encode())
    return tensors


def encode_inputs(tensors: Mapping[Tensor, Any] | Mapping[str, Any], protocol: str = "grpc") -> list[Any]:
    """The tensors as inputs of one request over `grpc` or `http`."""
    inputs = []
    for name, array in tensors.items():
        inputs.append(_MODULES[protocol].InferInput(str(name), list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    return inputs
