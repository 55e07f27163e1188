"""A request to the engine: packed images in, one reading an image out."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping

from ocrvl.imaging.grid import PixelGrid
from ocrvl.messages import PackedImages, Reading
from ocrvl.models.request import Request
from ocrvl.triton.context import Call
from ocrvl.wire import PART_PARAMETER, STREAM_PARAMETER


class EngineRequest(Request[Call]):
    """A request for the texts of its `packed` images, of which `readings` has those that are done.

    No other request has its `name`. Where its text is sent as it is generated, `stream` is its name on the control
    channel and `stream_client` the client that has asked for it; else both are empty. A request that `is_part` belongs
    to one that has a line of its own, as blocks belong to a document.
    """

    packed: PackedImages

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.name = unique_id(call.request_id)
        self.readings: list[Reading] = []
        self.stream = self.stream_client = ""
        self.is_part = False

    def decode(self, grid: PixelGrid) -> None:
        """Read it from its tensors and parameters. Raises `InvalidArgument` for what does not fit `grid`."""
        self.packed = PackedImages.decode_tensors(self.call.read, grid)
        self.units = len(self.packed)
        options, parameters = self.packed.options, self.call.parameters
        client, slash, stream = str(parameters.get(STREAM_PARAMETER, "")).partition("/")
        if slash:
            self.stream_client, self.stream = client, stream
        self.is_part = PART_PARAMETER in parameters
        self.trace_headers = self.call.trace_headers
        self.set_timeout(None if options.timeout_ms is None else options.timeout_ms / 1000)
        self.scope.tokens = tuple(filter(None, (options.cancel_token, self.stream)))

    @property
    def images(self) -> int:
        """Images that it has; 0 where it could not be read."""
        return len(self.packed) if hasattr(self, "packed") else 0

    def adapters(self) -> Counter[str]:
        """How many of its images are read with each adapter."""
        if not self.images:
            return Counter()
        options = self.packed.options
        return Counter(filter(None, (options.adapter_for(task) for task in self.packed.tasks)))

    def counts(self) -> Mapping[str, int | str]:
        """Images and tokens, and the adapters that they are read with."""
        adapters = self.adapters()
        return {
            **({"adapter": ",".join(adapters)} if adapters else {}),
            "images": self.images,
            "input_tokens": sum(reading.num_input_tokens for reading in self.readings),
            "output_tokens": sum(reading.num_output_tokens for reading in self.readings),
        }


def unique_id(request_id: str = "") -> str:
    """An id that begins with the caller's, which need not be unique."""
    return f"{request_id or 'request'}-{uuid.uuid4().hex[:12]}"
