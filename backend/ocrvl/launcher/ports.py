"""Free ports for servers that load for a while before they listen."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

_GIVEN_OUT: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The ports that the kernel gives to outgoing connections and to whoever asks for any port."""

_LOWEST: Final = 10_240
"""Below it are the ports of well-known services."""

_TRIES: Final = 64


def bind_to_free_port(listener: socket.socket, host: str) -> int:
    """Bind a socket to a port that is free, and is not given out by the kernel where there are others.

    An engine loads for many seconds between the choice of a port and the first who listens there, and a port that the
    kernel gives out (ip(7), `ip_local_port_range`) may by then be the near end of any connection of this machine.
    """
    for port in random.sample(candidates := _not_given_out(), min(_TRIES, len(candidates))):
        with suppress(OSError):
            listener.bind((host, port))
            return port
    listener.bind((host, 0))
    return int(listener.getsockname()[1])


def find_free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now, see `bind_to_free_port`."""
    with socket.socket() as probe:
        return bind_to_free_port(probe, host)


def _not_given_out() -> list[int]:
    try:
        first, last = map(int, _GIVEN_OUT.read_text().split())
    except (OSError, ValueError):
        return []
    return [*range(_LOWEST, first), *range(max(_LOWEST, last + 1), 65_536)]
