"""`python -m perf.clients`: how fast the client is, against perf_analyzer on the same server with as many in flight.

Lines, since they are the requests on which a client's own work shows most. Rounds in turn, each way once a round; and
what shared memory saves, by the size of what is sent.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from ocrvl.launcher.server import TritonServer
from ocrvl_client import AsyncClient, Client, ProtocolName
from perf.analyzer import MeasurementFailed, find_perf_analyzer, measure
from perf.harness.server import start_server
from perf.images import SizeClass, draw_files
from perf.input_data import write_input_data
from perf.profiles import Run, load_profile

_TOKENS: Final = 8
_FILES: Final = 512
_TRIES: Final = 3
_console = Console(highlight=False, width=120)

Way = Callable[[], float]
"""Takes one measurement; images a second."""


def main(
    perf_analyzer: Annotated[Path | None, typer.Option(help="The program; else from the environment or PATH.")] = None,
    in_flight: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each way.")] = 5,
    images: Annotated[int, typer.Option(min=1, help="Images in a measurement of the client's.")] = 600,
) -> None:
    """Measure and print."""
    binary = find_perf_analyzer(perf_analyzer)
    files = list(islice(draw_files(SizeClass.LINE), _FILES))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-clients-")))
        server = stack.enter_context(start_server())
        data = folder / "lines.json"
        write_input_data(data, files, _TOKENS)
        ways: dict[str, Way] = {}
        for name in ("grpc", "http"):
            (run,) = load_profile(name).runs
            ways[f"perf_analyzer, {name}"] = partial(_analyzer, binary, run, in_flight, server, data, folder)
        for protocol in ("grpc", "http"):
            for shared in (False, True):
                title = f"{protocol}{', shared memory' if shared else ''}"
                with_client = partial(_client, server, protocol, files, images, in_flight, shared=shared)
                ways[f"Client.read_many, {title}"] = with_client
                ways[f"AsyncClient.read_many, {title}"] = partial(_async, with_client)
        _compare(ways, rounds, in_flight)
        _compare_memory(server, rounds)


def _compare(ways: dict[str, Way], rounds: int, in_flight: int) -> None:
    for way in ways.values():
        # connections, memory, and a server that has seen everything once
        way()
    measured = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    best = [max(rate for name, rate in one.items() if name.startswith("perf_analyzer")) for one in measured]
    title = f"lines of {_TOKENS} tokens, {in_flight} in flight, {rounds} rounds"
    table = Table("", "images/s", "of perf_analyzer's best", title=title)
    for name in ways:
        ratios = [one[name] / top for one, top in zip(measured, best, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        table.add_row(name, f"{statistics.median(one[name] for one in measured):.1f}", spread)
    _console.print(table)


def _analyzer(binary: Path, run: Run, in_flight: int, server: TritonServer, data: Path, folder: Path) -> float:
    url = server.grpc_url if run.protocol == "grpc" else server.http_url
    for _ in range(_TRIES - 1):
        # it gives no figures at all where its windows differ too much for it
        with suppress(MeasurementFailed):
            return measure(binary, run, in_flight, url=url, data=data, folder=folder).throughput
    return measure(binary, run, in_flight, url=url, data=data, folder=folder).throughput


def _client(
    server: TritonServer, protocol: ProtocolName, files: Sequence[bytes], count: int, in_flight: int, *, shared: bool
) -> float:
    url = server.grpc_url if protocol == "grpc" else server.http_url
    with Client(url, protocol=protocol, shared_memory=shared) as client:
        began = time.perf_counter()
        outcomes = client.read_many(islice(cycle(files), count), concurrency=in_flight, max_tokens=_TOKENS)
        read = sum(bool(outcome.result()) for outcome in outcomes)
        return read / (time.perf_counter() - began)


def _async(with_client: partial[float]) -> float:
    """The same arguments, with the client for asyncio."""
    server, protocol, files, count, in_flight = with_client.args

    async def read() -> float:
        url = server.grpc_url if protocol == "grpc" else server.http_url
        async with AsyncClient(url, protocol=protocol, shared_memory=with_client.keywords["shared"]) as client:
            began = time.perf_counter()
            images = islice(cycle(files), count)
            outcomes = client.read_many(images, concurrency=in_flight, max_tokens=_TOKENS)
            done = sum([bool(outcome.result()) async for outcome in outcomes])
            return done / (time.perf_counter() - began)

    return asyncio.run(read())


def _compare_memory(server: TritonServer, rounds: int) -> None:
    """How long one request takes, alone, sent and handed over, by what is in it."""
    table = Table("", "size", *(f"{name}, ms" for name in ("grpc", "grpc, shared", "http", "http, shared")))
    table.title = "a request alone, one token, median"
    for title, file in _sizes():
        row = []
        for protocol in ("grpc", "http"):
            url = server.grpc_url if protocol == "grpc" else server.http_url
            with (
                Client(url, protocol=protocol) as sent,
                Client(url, protocol=protocol, shared_memory=True) as shared,
            ):
                times: dict[int, list[float]] = {0: [], 1: []}
                for number in range(2 * (4 * rounds + 1)):
                    client = (sent, shared)[number % 2]
                    began = time.perf_counter()
                    client.read(file, max_tokens=1, max_pixels=28 * 28 * 64)
                    times[number % 2].append(time.perf_counter() - began)
                # the first of each opens its connection
                row += [f"{1000 * statistics.median(one[1:]):.1f}" for one in times.values()]
        table.add_row(title, f"{len(file) / 2**20:.2f} MiB", *row)
    _console.print(table)


def _sizes() -> Iterator[tuple[str, bytes]]:
    yield "a line, PNG", next(draw_files(SizeClass.LINE))
    yield "an A4 page at 300 dpi, JPEG", next(draw_files(SizeClass.A4_300))
    random = np.random.default_rng(0)
    for side in (1600, 4000):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).save(buffer, "BMP")
        yield f"{side} x {side} pixels, BMP", buffer.getvalue()


if __name__ == "__main__":
    typer.run(main)
