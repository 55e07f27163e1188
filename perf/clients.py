"""`python -m perf clients`: how fast the client is, against perf_analyzer on the same server with as many in flight.

Lines, since they are the requests on which a client's own cost shows most. Rounds in turn, each variant once a round;
and what shared memory saves, by the size of what is sent.
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

from ocrvl.launcher.server import TritonServer
from ocrvl_client import AsyncClient, Client, ProtocolName
from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import Output, Save, keep, new_figures, span
from perf.harness.server import start_server
from perf.images import SizeClass, draw_files
from perf.load.analyzer import MeasurementFailed, find_perf_analyzer, measure
from perf.load.input_data import write_input_data
from perf.load.profiles import Run, load_profile

_TOKENS: Final = 8
_FILES: Final = 512
_TRIES: Final = 3
_console = Console(highlight=False, width=120)

Measure = Callable[[], float]
"""Takes one measurement; images a second."""


def main(
    perf_analyzer: Annotated[Path | None, typer.Option(help="The program; else from the environment or PATH.")] = None,
    in_flight: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each variant.")] = 5,
    images: Annotated[int, typer.Option(min=1, help="Images in a measurement of the client's.")] = 600,
    save: Save = False,
    output: Output = None,
) -> None:
    """Compare the SDK with perf_analyzer, and shared memory with sending."""
    binary = find_perf_analyzer(perf_analyzer)
    files = list(islice(draw_files(SizeClass.LINE), _FILES))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-clients-")))
        server = stack.enter_context(start_server())
        data = folder / "lines.json"
        write_input_data(data, files, _TOKENS)
        variants: dict[str, Measure] = {}
        for name in ("grpc", "http"):
            (run,) = load_profile(name).runs
            variants[f"perf_analyzer, {name}"] = partial(_analyzer, binary, run, in_flight, server, data, folder)
        for protocol in ("grpc", "http"):
            for shared in (False, True):
                title = f"{protocol}{', shared memory' if shared else ''}"
                with_client = partial(_client, server, protocol, files, images, in_flight, shared=shared)
                variants[f"Client.read_many, {title}"] = with_client
                variants[f"AsyncClient.read_many, {title}"] = partial(_async, with_client)
        figures = _compare(variants, rounds, in_flight)
        keep("sdk", figures, _console, save_them=save, output=output)
        keep("shared-memory", _compare_memory(server, rounds), _console, save_them=save)


def _compare(variants: dict[str, Measure], rounds: int, in_flight: int) -> Figures:
    for measure_rate in variants.values():
        # connections, memory, and a server that has seen everything once
        measure_rate()
    measured = [{name: measure_rate() for name, measure_rate in variants.items()} for _ in range(rounds)]
    best = [max(rate for name, rate in one.items() if name.startswith("perf_analyzer")) for one in measured]
    columns = (
        Column(title="client", value="system"),
        Column(title="images a second", value="images_per_second", format=".1f"),
        Column(title="of perf_analyzer's best", value="ratio", format=".2f"),
    )
    return new_figures(
        question="How fast is the client beside perf_analyzer?",
        rounds=rounds,
        conditions=(
            f"Lines of {_TOKENS} tokens, {in_flight} in flight; medians, in brackets the lowest and the highest ratio "
            "to the better of perf_analyzer's gRPC and HTTP in each round."
        ),
        measurements=(
            {
                "system": name,
                "images_per_second": statistics.median(one[name] for one in measured),
                "ratio": span([one[name] / top for one, top in zip(measured, best, strict=True)]),
            }
            for name in variants
        ),
        tables={"images-per-second": Table(rows=("system",), columns=columns)},
    )


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


def _compare_memory(server: TritonServer, rounds: int) -> Figures:
    """How long one request takes, alone, sent and handed over in shared memory, by what is in it."""
    records = []
    for title, file in _sizes():
        record: dict[str, Value] = {"image": title, "mib": len(file) / 2**20}
        for protocol in ("grpc", "http"):
            sent, shared = _time_requests(server, protocol, file, rounds)
            record |= {f"{protocol}_ms": sent, f"{protocol}_shared_ms": shared}
        records.append(record)
    columns = [Column(title="image", value="image"), Column(title="size", value="mib", format=".2f", unit=" MiB")]
    for protocol in ("grpc", "http"):
        for suffix, title in (("", protocol), ("_shared", f"{protocol}, shared memory")):
            columns.append(Column(title=title, value=f"{protocol}{suffix}_ms", format=".1f", unit=" ms"))
    return new_figures(
        question="What does shared memory save, by the size of what is sent?",
        rounds=4 * rounds,
        conditions="A request alone, one token; medians.",
        measurements=records,
        tables={"latency": Table(rows=("image",), columns=tuple(columns))},
    )


def _time_requests(server: TritonServer, protocol: ProtocolName, file: bytes, rounds: int) -> tuple[float, float]:
    """Median milliseconds of a request, sent and in shared memory, in turn."""
    url = server.grpc_url if protocol == "grpc" else server.http_url
    with (
        Client(url, protocol=protocol) as sent,
        Client(url, protocol=protocol, shared_memory=True) as shared,
    ):
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(2 * (4 * rounds + 1)):
            began = time.perf_counter()
            (sent, shared)[number % 2].read(file, max_tokens=1, max_pixels=28 * 28 * 64)
            times[number % 2].append(1000 * (time.perf_counter() - began))
    # the first of each opens its connection
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


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
