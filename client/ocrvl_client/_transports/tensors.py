"""Tensors as `tritonclient` wants them, the same for its four clients."""

from __future__ import annotations

from typing import Any

from tritonclient.utils import np_to_triton_dtype

from ocrvl.wire import Tensor
from ocrvl_client._messages import Array, Request


def fill_inputs(input_class: Any, request: Request) -> list[Any]:
    """The inputs of a request; the one that lies in shared memory is only pointed at."""
    filled = []
    for name, array in request.inputs.items():
        one = input_class(name.value, list(array.shape), np_to_triton_dtype(array.dtype))
        if request.placed is not None and name is request.placed.tensor:
            one.set_shared_memory(request.placed.region, request.placed.size)
        else:
            one.set_data_from_numpy(array)
        filled.append(one)
    return filled


def ask_outputs(output_class: Any, request: Request) -> list[Any]:
    """The outputs that are wanted."""
    return [output_class(name.value) for name in request.outputs]


def read_outputs(request: Request, result: Any) -> dict[Tensor, Array]:
    """The outputs that have come."""
    return {name: result.as_numpy(name.value) for name in request.outputs}
