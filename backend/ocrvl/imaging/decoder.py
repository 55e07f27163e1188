"""Decodes images whose headers do not show their cost, in a process that can be ended.

Decoders are native code that cannot be interrupted. What is plain (`ocrvl.imaging.headers`) does not come here.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from ocrvl.errors import InvalidArgument, Unavailable
from ocrvl.imaging.decode import DecodedImage, ImageLimits, TargetSize
from ocrvl.imaging.decoder_process import MEMORY_BYTES
from ocrvl.imaging.framing import receive, send

_LOOK_SECONDS: Final = 0.05
_WALL_FACTOR: Final = 10
"""How many times its processor time an image may take by the clock, on a machine that does other things as well."""

_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class DecoderProcess:
    """A process that decodes one image after another, started when the first comes. For one thread at a time.

    `seconds` is the processor time of all the images so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def decode(
        self,
        data: bytes,
        limits: ImageLimits,
        target_size: TargetSize | None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> DecodedImage:
        """As `decode_image`. Raises `InvalidArgument`, `Unavailable` where memory is short, and what `on_wait` raises.

        `on_wait` is called several times a second meanwhile, and may raise to end it. A process that fails is ended,
        and the next image has a new one.
        """
        connection = self._connection or self._start()
        assert self._process is not None
        pid = self._process.pid
        began, began_seconds = time.monotonic(), _processor_seconds(pid)

        def wait() -> None:
            on_wait()
            seconds, wall = _processor_seconds(pid) - began_seconds, time.monotonic() - began
            if seconds > limits.max_seconds or wall > _WALL_FACTOR * limits.max_seconds:
                raise InvalidArgument(
                    f"it takes more than {limits.max_seconds:.2g} s to decode: save it again, or send fewer at once"
                )

        is_well = False
        try:
            image = self._exchange(connection, data, limits, target_size, wait)
            is_well = True
        except _Refusal as refusal:
            is_well = True
            raise refusal.reason from None
        except (EOFError, OSError):
            raise InvalidArgument("it ends the program that decodes it, or takes too much memory") from None
        finally:
            self.seconds += max(0.0, _processor_seconds(pid) - began_seconds)
            if not is_well:
                self.close()
        return image

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None and self._connection is not None:
            self._process.kill()
            self._process.wait()
            self._connection.close()
        self._process = self._connection = None

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [sys.executable, "-m", "ocrvl.imaging.decoder_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ONE_THREAD},
            )
        ours.settimeout(_LOOK_SECONDS)
        self._connection = ours
        return ours

    @staticmethod
    def _exchange(
        connection: socket.socket,
        data: bytes,
        limits: ImageLimits,
        target_size: TargetSize | None,
        wait: Callable[[], None],
    ) -> DecodedImage:
        send(connection, dataclasses.asdict(limits), data, wait)
        size = _answer(receive(connection, wait)[0])["size"]
        try:
            target = None if target_size is None or size is None else target_size(*size)
        except InvalidArgument as error:
            send(connection, {"size": None, "proceed": False}, b"", wait)
            raise _Refusal(error) from None
        send(connection, {"size": target, "proceed": True}, b"", wait)
        message, pixels = receive(connection, wait)
        answer = _answer(message)
        shape = tuple(answer["shape"])
        return DecodedImage(
            np.frombuffer(pixels, np.uint8).reshape(shape),
            tuple(answer["size"]),
            str(answer["warning"]),
            int(answer["frames"]),
        )


class _Refusal(Exception):
    """What the process answered instead of an image."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


def _answer(message: dict[str, Any]) -> dict[str, Any]:
    if "error" in message:
        raise _Refusal(InvalidArgument(str(message["error"])))
    if "memory" in message:
        if message["memory"] < MEMORY_BYTES:
            raise _Refusal(Unavailable("the server has not the memory for it now: try again later"))
        raise _Refusal(InvalidArgument(f"it takes more than {MEMORY_BYTES >> 20} MiB to decode"))
    return message


def _processor_seconds(pid: int) -> float:
    """What a process has used so far (fields 14 and 15 of /proc/<pid>/stat, proc(5)); 0 where it has gone."""
    with suppress(OSError, IndexError):
        # the second field is the program's name in brackets, which may hold anything
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0
