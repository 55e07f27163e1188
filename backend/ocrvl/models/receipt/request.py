"""A request for a receipt."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from ocrvl.errors import InvalidArgument
from ocrvl.messages import Array
from ocrvl.models.receipt.options import ReceiptOptions, parse_receipt_options
from ocrvl.models.request import Request
from ocrvl.triton.context import Call
from ocrvl.wire import Tensor


class ReceiptRequest(Request[Call]):
    """A request for a receipt, whose `token` ends what the engines read for it.

    `image` is the file as it was sent, `lines` how many were found in it, `response` what is answered. `calls_engine`
    is whether something of it may be in an engine.
    """

    event = "receipt"

    options: ReceiptOptions
    image: bytes
    token: str
    response: Mapping[Tensor, Array]

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.lines = 0
        self.calls_engine = False

    def decode(self, max_image_bytes: int) -> None:
        """Read it from its tensors. Raises `InvalidArgument`."""
        raw = self.call.read.optional(Tensor.OPTIONS)
        self.options = parse_receipt_options(None if raw is None else raw.item())
        self.image = self.call.read(Tensor.IMAGE).item()
        if len(self.image) > max_image_bytes:
            raise InvalidArgument(f"the image has {len(self.image)} bytes, at most {max_image_bytes} are taken")
        self.token = self.options.cancel_token or uuid.uuid4().hex
        self.trace_headers = self.call.trace_headers
        self.set_timeout(None if self.options.timeout_ms is None else self.options.timeout_ms / 1000)

    def counts(self) -> Mapping[str, int]:
        """Lines."""
        return {"lines": self.lines}
