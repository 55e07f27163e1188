"""`ocrvl.control_channel.messages` and `ocrvl_client`'s reader of metrics: text that other processes send."""

from __future__ import annotations

from collections.abc import Sequence

from ocrvl.control_channel.messages import (
    Availability,
    AvailabilityChanged,
    Cancel,
    Cancelled,
    Delta,
    Done,
    End,
    Hello,
    Message,
    Taken,
    decode_message,
    encode_message,
)
from ocrvl.messages import Reading
from ocrvl.wire import FinishReason
from ocrvl_client.metrics import parse_samples
from stress.fuzz.target import Target


def check(data: bytes) -> None:
    """A message is what its own line says, or a `ValueError`; samples are numbers with names."""
    for sample in parse_samples(data.decode("utf-8", "replace")):
        assert sample.name
        assert isinstance(sample.value, float)
    try:
        message = decode_message(data)
    except ValueError:
        return
    line = encode_message(message)
    assert line.count(b"\n") == 1
    assert decode_message(line) == message


def seeds() -> Sequence[bytes]:
    """Every kind of message, and a sample."""
    reading = Reading(0, "Soup", FinishReason.STOP, 30, 4, "", "a warning")
    messages: Sequence[Message] = (
        *(Hello("f1"), Cancel("token", 3), Cancelled(3, 1), AvailabilityChanged(Availability.READY), Taken("s1")),
        *(Delta("s1", 0, "So"), Done("s1", reading), End("s1")),
    )
    return [*map(encode_message, messages), b'ocrvl_engine_state{replica="x_0_0"} -1\nocrvl_pages_total 1e3\n']


TARGET = Target(
    check, seeds, ['"kind":', '"Delta"', '"Done"', '"stream":', '"index":', "ocrvl_", 'a="\\""'], max_bytes=1024
)
