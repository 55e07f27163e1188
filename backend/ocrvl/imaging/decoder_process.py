"""The program that decodes images for a `DecoderProcess`: `python -m ocrvl.imaging.decoder_process FD`.

One image after another. Messages are JSON, with bytes behind them; neither side unpickles, so a message is never more
than data.
"""

from __future__ import annotations

import ctypes
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Final

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.decode import ImageFile, ImageLimits
from ocrvl.imaging.framing import receive, send

MEMORY_BYTES: Final = 3 * 2**29
"""Of addresses: the program itself takes 100 MB, the largest file 128 MB while it arrives, and 100 million pixels
700 MB, or 900 MB where they are a progressive JPEG's."""

_PR_SET_PDEATHSIG: Final = 1


def serve(connection: socket.socket) -> None:
    """Answer until the other end is closed."""
    while True:
        limits, data = receive(connection)
        try:
            _decode(connection, ImageFile(bytes(data), ImageLimits(**limits)))
        except InvalidArgument as error:
            send(connection, {"error": str(error)})
        except MemoryError:
            send(connection, {"memory": resource.getrlimit(resource.RLIMIT_AS)[0]})


def _decode(connection: socket.socket, file: ImageFile) -> None:
    """Send the size of a file, receive the target size, send the pixels."""
    send(connection, {"size": file.size})
    answer, _ = receive(connection)
    if not answer["proceed"]:
        return
    size = answer["size"]
    image = file.decode(None if size is None else lambda _width, _height: (size[0], size[1]))
    header = {"shape": image.pixels.shape, "size": image.size, "warning": image.warning, "frames": image.frames}
    send(connection, header, image.pixels.data.cast("B"))


def main() -> None:
    """Serve at the file descriptor that the one argument names, within bounds, and no longer than the parent lives."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    bound = MEMORY_BYTES if most == resource.RLIM_INFINITY else min(most, MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (bound, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(EOFError, OSError), socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
