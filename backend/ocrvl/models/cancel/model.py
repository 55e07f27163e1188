"""The model `cancel`: passes tokens on to the engines."""

from __future__ import annotations

from pydantic import TypeAdapter

from ocrvl.control_channel.address import channel_folder
from ocrvl.control_channel.client import ControlClient
from ocrvl.errors import InvalidArgument
from ocrvl.metrics.definitions import ModelMetrics
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, publish_metrics
from ocrvl.options import CancelToken
from ocrvl.triton.context import Log, ModelContext
from ocrvl.triton.loop import LoopThread


class CancelModel:
    """Ends requests by the token that their callers chose."""

    def __init__(self, context: ModelContext, families: FamilyFactory, log: Log) -> None:
        self._loop = LoopThread("cancel")
        self._channel = ControlClient(channel_folder())
        end_with_server()
        self._loop.run(self._channel.start())
        self._publisher = publish_metrics(ModelMetrics(), context.replica, families, log)

    def cancel(self, token: bytes) -> int:
        """How many requests were ended now; one that comes with this token in the next minutes is ended then.

        Raises `InvalidArgument` for what cannot be a token.
        """
        try:
            text = TypeAdapter(CancelToken).validate_python(token.decode("ascii"))
        except ValueError:
            raise InvalidArgument("cancel_token: 16 to 128 letters, digits and ._~- are taken") from None
        return self._loop.run(self._channel.cancel(text))

    def stop(self) -> None:
        """Close the connections to the engines."""
        self._publisher.stop()
        self._loop.run(self._channel.stop())
        self._loop.stop()
