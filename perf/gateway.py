"""`python -m perf gateway`: what the gateway costs, beside the SDK on the same server, and beside vLLM's own server.

The same lines with the same engine settings, in turn; the clients of all systems are in this process, on the core that
all but the engines share.
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

from ocrvl_client import AsyncClient
from perf.bench.cores import ENVIRONMENT, share_cores
from perf.bench.measure import Sample, take_in_turn, take_sample
from perf.bench.open import Images, chat_bodies, open_ours, open_vllm
from perf.bench.systems import HttpSystem, ServerSystem, System, TritonSystem
from perf.bench.workload import NANO, THIN, Benchmark, Size, SystemName, draw_images
from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import Output, Save, keep, new_figures, span
from perf.harness.http_server import run_http_server
from perf.harness.vllm_server import SERVED_NAME

_IN_FLIGHT: Final = 32
_BENCHMARKS: Final = {benchmark.name: benchmark for benchmark in (THIN, NANO)}
_console = Console(highlight=False, width=120)


_COLUMNS: Final = (
    Column(title="model", value="model"),
    Column(title="client of", value="system"),
    Column(title="p50 alone", value="p50_ms", format=".1f", unit=" ms"),
    Column(title="more than the SDK", value="more_ms", format=".1f", unit=" ms"),
    Column(title=f"lines a second, {_IN_FLIGHT} in flight", value="images_per_second", format=".1f"),
    Column(title="of the SDK's", value="ratio", format=".2f"),
)


def main(
    benchmark: Annotated[list[str], typer.Option(help="thin or nano; both if not given.")] = [*_BENCHMARKS],  # noqa: B006
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved measurements of each system.")] = 10,
    in_flight: Annotated[int, typer.Option(min=1, help="Lines in a measurement with 32 in flight.")] = 96,
    alone: Annotated[int, typer.Option(min=1, help="Lines in a measurement with one in flight.")] = 12,
    save: Save = False,
    output: Output = None,
) -> None:
    """Measure what the gateway costs beside the SDK on the same server, and beside vLLM's own server."""
    if unknown := [name for name in benchmark if name not in _BENCHMARKS]:
        raise typer.BadParameter(f"expected {' or '.join(_BENCHMARKS)}, found {unknown[0]!r}", param_hint="--benchmark")
    images = draw_images()
    records = [record for name in benchmark for record in _run(_BENCHMARKS[name], images, rounds, in_flight, alone)]
    keep("gateway", _to_figures(records, rounds), _console, save_them=save, output=output)


class _Sdk(ServerSystem):
    """The SDK's client: `read` one after the other, `read_many` with more."""

    def __init__(self, server: TritonSystem, benchmark: Benchmark, images: Images) -> None:
        super().__init__(SystemName.SDK, server.root)
        self._url = server.url
        self._images = images
        self._max_tokens = benchmark.max_tokens

    async def read(self, size: Size, count: int, in_flight: int, first: int) -> list[tuple[float, int]]:
        files = self._images[size]
        chosen = [files[(first + number) % len(files)] for number in range(count)]
        options: dict[str, Any] = {"max_tokens": self._max_tokens[size], "raw": True}
        async with AsyncClient(self._url) as client:
            if in_flight == 1:
                readings = [await client.read(file, **options) for file in chosen]
            else:
                outcomes = client.read_many(chosen, concurrency=in_flight, **options)
                readings = [outcome.result() async for outcome in outcomes]
        return [(reading.seconds, reading.num_output_tokens) for reading in readings]


@contextmanager
def _open_gateway(server: TritonSystem, benchmark: Benchmark, images: Images, folder: Path) -> Iterator[System]:
    start = ["-c", "from ocrvl_cli import app; app()", "gateway"]
    arguments = [*start, "--server", server.url, "--served-model-names", SERVED_NAME]
    with run_http_server(arguments, folder, ENVIRONMENT) as (root, url):
        yield HttpSystem(SystemName.GATEWAY, root, f"{url}/v1/chat/completions", chat_bodies(benchmark, images))


def _run(benchmark: Benchmark, images: Images, rounds: int, in_flight: int, alone: int) -> list[dict[str, Value]]:
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-gateway-")))
        checkpoint = benchmark.write_checkpoint(folder / "checkpoint")
        server = stack.enter_context(open_ours(benchmark, checkpoint, images, folder / "ours"))
        systems: list[System] = [
            _Sdk(server, benchmark, images),
            stack.enter_context(_open_gateway(server, benchmark, images, folder / "gateway")),
            stack.enter_context(open_vllm(benchmark, checkpoint, images, folder / "vllm")),
        ]
        share_cores([server, *systems])
        for system in systems:
            # connections, memory and kernels are there afterwards
            take_sample(system, Size.LINE, 0, count=4, in_flight=2)
        single = list(take_in_turn(systems, [Size.LINE], rounds, {Size.LINE: alone}, 1))
        many = list(take_in_turn(systems, [Size.LINE], rounds, {Size.LINE: in_flight}, _IN_FLIGHT))
    _console.print(f"{benchmark.name}: {time.monotonic() - began:.0f} s")
    return [_record(benchmark, system.name, single, many) for system in systems]


def _record(
    benchmark: Benchmark, name: SystemName, single: Sequence[Sample], many: Sequence[Sample]
) -> dict[str, Value]:
    """Medians of the rounds; differences and ratios round by round, against the SDK."""
    waits, waits_sdk = ([_p50_ms(one) for one in single if one.system is which] for which in (name, SystemName.SDK))
    rates, rates_sdk = (
        [one.images_per_second for one in many if one.system is which] for which in (name, SystemName.SDK)
    )
    record: dict[str, Value] = {
        "model": benchmark.name,
        "system": name.label,
        "p50_ms": statistics.median(waits),
        "images_per_second": statistics.median(rates),
    }
    if name is not SystemName.SDK:
        record["more_ms"] = span([wait - sdk for wait, sdk in zip(waits, waits_sdk, strict=True)])
        record["ratio"] = span([rate / sdk for rate, sdk in zip(rates, rates_sdk, strict=True)])
    return record


def _to_figures(records: Sequence[dict[str, Value]], rounds: int) -> Figures:
    return new_figures(
        question="What does the gateway cost beside the SDK?",
        rounds=rounds,
        conditions=(
            "Lines; medians, in brackets the smallest and the largest of the rounds. thin is one layer and one token, "
            "so nearly all is not the model."
        ),
        measurements=records,
        tables={"cost": Table(rows=("model", "system"), columns=_COLUMNS)},
    )


def _p50_ms(sample: Sample) -> float:
    return 1000 * statistics.median(sample.latencies)


if __name__ == "__main__":
    typer.run(main)
