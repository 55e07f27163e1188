"""Arguments and results of `tritonclient`'s calls, the same for its four clients."""

from __future__ import annotations

from typing import Any

from tritonclient.utils import np_to_triton_dtype

from ocrvl.wire import Tensor
from ocrvl_client._messages import Array, Request
from ocrvl_client._transports.endpoint import Endpoint


def infer_arguments(module: Any, request: Request, endpoint: Endpoint) -> dict[str, Any]:
    """The arguments of `infer`; `module` is `tritonclient.grpc` or `tritonclient.http`."""
    return {
        "model_name": request.model.value,
        "inputs": encode_inputs(module, request),
        "outputs": [module.InferRequestedOutput(name.value) for name in request.outputs],
        "request_id": request.id,
        "headers": {**endpoint.headers, **request.headers},
    }


def encode_inputs(module: Any, request: Request) -> list[Any]:
    """The inputs of a request; the one that lies in shared memory is only pointed at."""
    inputs = []
    for name, array in request.inputs.items():
        tensor = module.InferInput(name.value, list(array.shape), np_to_triton_dtype(array.dtype))
        if request.shared is not None and name is request.shared.tensor:
            tensor.set_shared_memory(request.shared.region, request.shared.size)
        else:
            tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def decode_outputs(request: Request, result: Any) -> dict[Tensor, Array]:
    """The outputs that a request names."""
    return {name: result.as_numpy(name.value) for name in request.outputs}
