"""`python -m perf cold-start`: how fast a server answers its first requests after a start.

Starts a server several times, each with nothing left of the one before, and times the first requests one by one: a
receipt each, of which no two are alike.
"""

from __future__ import annotations

import time
from random import Random
from statistics import median
from typing import Annotated, Final

import typer
from rich.console import Console

from ocrvl_client import Client
from perf.figures.data import Column, Table
from perf.figures.new import Output, Save, keep, new_figures
from perf.harness.server import start_server
from training.nano.world import World

_REQUESTS = 20
_SETTLED = slice(9, _REQUESTS)
"""From the tenth on."""

_TABLE: Final = Table(
    rows=("request",),
    columns=(
        Column(title="request after a start", value="request"),
        Column(title="median", value="median_ms", format=".0f", unit=" ms"),
        Column(title="of the tenth and later", value="over_settled", format=".2f"),
    ),
)
_ROWS = 4
"""Of each receipt, so that all have as much to read."""


def main(
    starts: Annotated[int, typer.Option(min=1, help="How often a server is started.")] = 5,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each receipt.")] = 32,
    save: Save = False,
    output: Output = None,
) -> None:
    """Time the first requests after a start: medians over the starts, in milliseconds."""
    world = World(Random(0))
    images = [world.receipt(_ROWS).png() for _ in range(_REQUESTS)]
    runs = [_time_requests(images, max_tokens) for _ in range(starts)]
    settled = median(seconds for run in runs for seconds in run[_SETTLED])
    numbered = enumerate(map(median, zip(*runs, strict=True)), 1)
    figures = new_figures(
        question="Is a server's first answer as fast as its tenth?",
        rounds=starts,
        conditions=f"Receipts of {max_tokens} tokens one after another; medians of the starts.",
        measurements=(
            {"request": number, "median_ms": 1000 * seconds, "over_settled": seconds / settled}
            for number, seconds in numbered
        ),
        tables={"latency": _TABLE},
    )
    keep("cold-start", figures, Console(), save_them=save, output=output)


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
