"""Receipts: some at a time, each answered when its fields are found."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ocrvl.models.admission import Admission
from ocrvl.models.dispatcher import Dispatcher
from ocrvl.models.receipt.bls import Models
from ocrvl.models.receipt.reader import ReceiptReader
from ocrvl.models.receipt.request import ReceiptRequest
from ocrvl.options import check_adapters
from ocrvl.settings import ReceiptSettings
from ocrvl.triton.context import Call
from ocrvl.triton.loop import LoopThread


class ReceiptDispatcher(Dispatcher[ReceiptRequest]):
    """Has at most `max_receipts` read at a time."""

    def __init__(
        self,
        models: Models,
        reader: ReceiptReader,
        settings: ReceiptSettings,
        *,
        loop: LoopThread,
        on_finished: Callable[[ReceiptRequest], None],
        adapters: Collection[str] = (),
    ) -> None:
        super().__init__(Admission(settings.max_receipts), loop, on_finished)
        self._models = models
        self._reader = reader
        self._settings = settings
        self._adapters = adapters

    def receive(self, call: Call) -> ReceiptRequest:
        """The request of a call."""
        return ReceiptRequest(call)

    def decode(self, request: ReceiptRequest) -> None:
        """Read its options and its image. Raises `InvalidArgument`."""
        request.decode(self._settings.max_image_bytes)
        check_adapters(request.options.adapter, self._adapters)

    async def work(self, request: ReceiptRequest) -> None:
        """Read it."""
        await self._reader.read(request)

    async def abort(self, request: ReceiptRequest) -> None:
        """End what the engines still read for it."""
        if request.calls_engine:
            await self._models.end(request.token)

    async def answer(self, request: ReceiptRequest) -> None:
        """Send what was found."""
        await self._reader.run(request.call.answer, request.response)
