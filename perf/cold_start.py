"""Whether a server that has just become ready answers its first request as fast as its tenth.

Starts a server several times, each with nothing left of the one before, and times the first requests one by one: a
receipt each, of which no two are alike.
"""

from __future__ import annotations

import time
from random import Random
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ocrvl_client import Client
from perf.harness.server import start_server
from training.nano.world import World

_REQUESTS = 20
_SETTLED = slice(9, _REQUESTS)
"""From the tenth on."""

_ROWS = 4
"""Of each receipt, so that all have as much to read."""


def main(
    starts: Annotated[int, typer.Option(min=1, help="How often a server is started.")] = 5,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each receipt.")] = 32,
) -> None:
    """Print the milliseconds of the first requests after a start, medians over the starts."""
    console = Console()
    world = World(Random(0))
    images = [world.receipt(_ROWS).png() for _ in range(_REQUESTS)]
    runs = [_time_requests(images, max_tokens) for _ in range(starts)]
    table = Table("request", "median ms", "of the tenth and later", title=f"after {starts} starts")
    settled = median(seconds for run in runs for seconds in run[_SETTLED])
    for number, seconds in enumerate(map(median, zip(*runs, strict=True)), 1):
        table.add_row(str(number), f"{seconds * 1000:.0f}", f"{seconds / settled:.2f}")
    console.print(table)


def _time_requests(images: list[bytes], max_tokens: int) -> list[float]:
    with start_server() as server, Client(server.grpc_url) as client:
        # the connection is not what is measured
        client.is_ready()
        return [_time(client, image, max_tokens) for image in images]


def _time(client: Client, image: bytes, max_tokens: int) -> float:
    began = time.perf_counter()
    client.read(image, max_tokens=max_tokens)
    return time.perf_counter() - began


if __name__ == "__main__":
    typer.run(main)
