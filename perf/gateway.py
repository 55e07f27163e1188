"""`python -m perf.gateway`: what the gateway costs, beside the SDK on the same server, and beside vLLM's own server.

The same lines with the same engine settings, in turn; every way is a client of this process, on the core that all but
the engines share.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table as Grid

from ocrvl_client import AsyncClient
from perf.bench.__main__ import share_cores
from perf.bench.measure import Sample, take_in_turn, take_sample
from perf.bench.systems import (
    SERVED_NAME,
    HttpWay,
    Images,
    Served,
    TritonWay,
    Way,
    chat_bodies,
    open_openai,
    open_ours,
    run_http,
)
from perf.bench.workload import NANO, THIN, Size, Table, draw_images

_IN_FLIGHT: Final = 32
_TABLES: Final = {table.name: table for table in (THIN, NANO)}
_SDK, _GATEWAY, _VLLM = "sdk", "gateway", "a"
_console = Console(highlight=False, width=120)


def main(
    table: Annotated[list[str], typer.Option(help="thin or nano; both if not given.")] = [*_TABLES],  # noqa: B006
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved measurements of each way.")] = 10,
    together: Annotated[int, typer.Option(min=1, help="Lines in a measurement with 32 in flight.")] = 96,
    alone: Annotated[int, typer.Option(min=1, help="Lines in a measurement with one in flight.")] = 12,
) -> None:
    """Measure and print."""
    images = draw_images()
    for name in table:
        if name not in _TABLES:
            raise typer.BadParameter(f"{name!r}: {' or '.join(_TABLES)}", param_hint="--table")
        _run(_TABLES[name], images, rounds, together, alone)


class _Sdk(Served):
    """The SDK's client: `read` one after the other, `read_many` with more."""

    def __init__(self, server: TritonWay, table: Table, images: Images) -> None:
        super().__init__(_SDK, "AsyncClient, gRPC", server.root)
        self._url = server.url
        self._images = images
        self._max_tokens = table.max_tokens

    async def read(self, size: Size, count: int, together: int, first: int) -> list[tuple[float, int]]:
        files = self._images[size]
        chosen = [files[(first + number) % len(files)] for number in range(count)]
        options: dict[str, Any] = {"max_tokens": self._max_tokens[size], "raw": True}
        async with AsyncClient(self._url) as client:
            if together == 1:
                readings = [await client.read(file, **options) for file in chosen]
            else:
                outcomes = client.read_many(chosen, concurrency=together, **options)
                readings = [outcome.result() async for outcome in outcomes]
        return [(reading.seconds, reading.num_output_tokens) for reading in readings]


@contextmanager
def _open_gateway(server: TritonWay, table: Table, images: Images, folder: Path) -> Iterator[Way]:
    start = ["-c", "from ocrvl_cli import app; app()", "gateway"]
    with run_http([*start, "--server", server.url, "--served-model-names", SERVED_NAME], folder, {}) as (root, url):
        bodies = chat_bodies(table, images)
        yield HttpWay(_GATEWAY, "gateway, chat completions", root, f"{url}/v1/chat/completions", bodies)


def _run(table: Table, images: Images, rounds: int, together: int, alone: int) -> None:
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-gateway-")))
        checkpoint = table.write_checkpoint(folder / "checkpoint")
        server = stack.enter_context(open_ours(table, checkpoint, images, folder / "ours"))
        ways: list[Way] = [
            _Sdk(server, table, images),
            stack.enter_context(_open_gateway(server, table, images, folder / "gateway")),
            stack.enter_context(open_openai(table, checkpoint, images, folder / "a")),
        ]
        share_cores([server, *ways])
        for way in ways:
            # connections, memory and kernels are there afterwards
            take_sample(way, Size.LINE, 0, count=4, together=2)
        single = list(take_in_turn(ways, [Size.LINE], rounds, {Size.LINE: alone}, 1))
        many = list(take_in_turn(ways, [Size.LINE], rounds, {Size.LINE: together}, _IN_FLIGHT))
    _console.print(f"\n{table.name}: {table.says}", style="bold")
    _console.print(_report(ways, single, many))
    _console.print(f"{time.monotonic() - began:.0f} s in all")


def _report(ways: Sequence[Way], single: Sequence[Sample], many: Sequence[Sample]) -> Grid:
    """Medians of the rounds; differences and ratios round by round, against the SDK."""
    grid = Grid("", "p50 alone, ms", "more than the SDK, ms", f"lines/s, {_IN_FLIGHT} in flight", "of the SDK's")
    for way in ways:
        waits, waits_sdk = ([_p50_ms(one) for one in single if one.way == name] for name in (way.name, _SDK))
        rates, rates_sdk = ([one.images_per_second for one in many if one.way == name] for name in (way.name, _SDK))
        more = [ours - sdk for ours, sdk in zip(waits, waits_sdk, strict=True)]
        share = [ours / sdk for ours, sdk in zip(rates, rates_sdk, strict=True)]
        is_sdk = way.name == _SDK
        grid.add_row(
            way.title,
            f"{statistics.median(waits):.1f}",
            "" if is_sdk else _spread(more),
            f"{statistics.median(rates):.1f}",
            "" if is_sdk else _spread(share),
        )
    return grid


def _p50_ms(sample: Sample) -> float:
    return 1000 * statistics.median(sample.latencies)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    typer.run(main)
