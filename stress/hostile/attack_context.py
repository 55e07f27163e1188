"""What an attack is given: a server, an image, and raw requests that check nothing."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2 as pb

from ocrvl.address import split_address
from ocrvl.wire import Model, Tensor, untag_message
from perf.harness.serve_process import Endpoints, Member
from perf.harness.tensors import encode_inputs, image_tensors
from stress.endurance.images import ReferenceImage

ANSWER_SECONDS: Final = 30.0
"""After which an attacker gives up: a refusal takes milliseconds, but attacks come on top of each other."""

NO_ANSWER: Final = "no answer"
CLOSED: Final = "closed"
"""The connection ended instead of an answer."""

_INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
_UNLIMITED: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass(frozen=True)
class AttackContext:
    """A server under attack; `image` is one it can read, `folder` has its log, `members` are its processes."""

    endpoints: Endpoints
    image: ReferenceImage
    folder: Path
    members: Callable[[], list[Member]]

    def connect(self, url: str) -> socket.socket:
        """A connection of its own."""
        return socket.create_connection(split_address(url), timeout=ANSWER_SECONDS)

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None, seconds: float = ANSWER_SECONDS
    ) -> str:
        """POST it to HTTP as it is; the status, and our code where the answer has one."""
        connection = HTTPConnection(*split_address(self.endpoints.http), timeout=seconds)
        try:
            connection.request("POST", path, body, dict(headers or {"Content-Type": "application/json"}))
            answer = connection.getresponse()
            return _category(str(answer.status), answer.read().decode("utf-8", "replace"))
        except TimeoutError:
            return NO_ANSWER
        except (OSError, HTTPException):
            return CLOSED
        finally:
            connection.close()

    def infer(self, message: Any, seconds: float = ANSWER_SECONDS) -> str:
        """Send it over gRPC as it is; the status, and our code where the message has one."""
        data = message if isinstance(message, bytes) else message.SerializeToString()
        with grpc.insecure_channel(self.endpoints.grpc, _UNLIMITED) as channel:
            try:
                channel.unary_unary(_INFER)(data, timeout=seconds)
            except grpc.RpcError as error:
                status: Any = error
                if status.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    return NO_ANSWER
                lost = status.code() is grpc.StatusCode.UNAVAILABLE and untag_message(status.details() or "")[0] is None
                return CLOSED if lost else _category(status.code().name, status.details() or "")
        return "OK"


def count_answers(cases: Iterable[Any], send: Callable[[Any], str]) -> Counter[str]:
    """What came back of each case, counted."""
    return Counter(map(send, cases))


def request(model: str | Model, inputs: Mapping[Tensor, Any], version: str = "") -> Any:
    """A request over gRPC with these arrays, before anything is changed in it."""
    message = pb.ModelInferRequest(model_name=str(model), model_version=version)
    for tensor in encode_inputs(inputs):
        message.inputs.append(tensor._get_tensor())
        message.raw_input_contents.append(tensor._get_content())
    return message


def read_request(image: bytes, **options: Any) -> Any:
    """A good request to `ocr`."""
    return request(Model.OCR, image_tensors(image, task="ocr", **options))


def infer_path(model: str | Model) -> str:
    """Where HTTP takes requests to a model."""
    return f"/v2/models/{model}/infer"


def json_body(name: str, datatype: str, shape: Sequence[Any], data: Any) -> bytes:
    """A body in JSON with one input."""
    tensor = {"name": name, "datatype": datatype, "shape": list(shape), "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def _category(status: str, text: str) -> str:
    code, _ = untag_message(text)
    return f"{status} {code}" if code else status
