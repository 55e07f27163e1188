"""`python -m perf growth growth.svg`: how cost grows with pixels, output tokens and requests in flight.

Starts a server with the embedded checkpoint and sends requests over gRPC, in rounds: what drifts hits all points alike.
"""

from __future__ import annotations

import asyncio
import io
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final

import matplotlib as mpl
import tritonclient.grpc.aio as triton_grpc
import typer
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from ocrvl.checkpoint import NANO
from ocrvl.wire import Model
from perf.conditions import list_gpus
from perf.figures.data import Column, Figures, Table
from perf.figures.new import Output, Save, keep, new_figures
from perf.harness.loops import closed_loop
from perf.harness.server import start_server
from perf.harness.tensors import encode_inputs, image_tensors
from perf.images import SizeClass, draw_files
from perf.plot_style import STYLE
from training.nano.world import World

_SIDES: Final = (112, 224, 336, 448, 560, 616)
"""Of square images, in pixels: 16 to 484 visual tokens."""
_TOKENS: Final = (1, 32, 64, 128, 192, 256)
_IN_FLIGHT: Final = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Point:
    """One setting: `x`, requests sent and how many are in flight."""

    x: int
    inputs: Sequence[Any]
    in_flight: int = 1
    requests: int = 1


def main(
    drawing: Annotated[Path, typer.Argument(help="The SVG to draw.")],
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each point; their medians are drawn.")] = 7,
    save: Save = False,
    output: Output = None,
) -> None:
    """Measure how cost grows, with the embedded checkpoint on this machine, and draw it."""
    series = {
        "pixels, at 1 output token": [Point(side**2, [_square(side)]) for side in _SIDES],
        "output tokens, of a page": [Point(count, [_page(count)]) for count in _TOKENS],
        "lines in flight": _lines(),
    }
    with start_server() as server:
        seconds = {name: asyncio.run(_measure(server.grpc_url, points, rounds)) for name, points in series.items()}
    keep("growth", _to_figures(series, seconds, rounds), Console(), save_them=save, output=output)
    where = ", ".join([f"{os.cpu_count()} CPU cores", *(list_gpus() or ("no GPU",))])
    _draw(drawing, series, seconds, f"{NANO} checkpoint, {where}, {datetime.now(UTC):%Y-%m-%d}")


def _square(side: int) -> list[Any]:
    return _request(World(Random(side)).paragraph((side, side)).png(), max_tokens=1)


def _page(max_tokens: int) -> list[Any]:
    page = Image.open(io.BytesIO(next(draw_files(SizeClass.A4_150))))
    file = io.BytesIO()
    page.resize((434, 616)).save(file, "PNG")
    return _request(file.getvalue(), max_tokens)


def _lines() -> list[Point]:
    files = draw_files(SizeClass.LINE)
    lines = [_request(next(files), max_tokens=32) for _ in range(max(_IN_FLIGHT))]
    return [Point(count, lines, in_flight=count, requests=max(8, count)) for count in _IN_FLIGHT]


def _request(file: bytes, max_tokens: int) -> list[Any]:
    return encode_inputs(image_tensors(file, max_tokens=max_tokens, stop_repetition=False, raw=True))


async def _measure(url: str, points: Sequence[Point], rounds: int) -> list[float]:
    """Seconds of each point, the median of the rounds; the first round is for what is set up once."""
    async with triton_grpc.InferenceServerClient(url) as client:
        taken = [[await _send(client, point) for point in points] for _ in range(rounds + 1)]
    return [statistics.median(column) for column in zip(*taken[1:], strict=True)]


async def _send(client: Any, point: Point) -> float:
    began = time.perf_counter()
    await closed_loop(
        lambda number: client.infer(Model.OCR.value, point.inputs[number % len(point.inputs)]),
        point.in_flight,
        requests=point.requests,
    )
    return time.perf_counter() - began


def _to_figures(series: dict[str, list[Point]], seconds: dict[str, list[float]], rounds: int) -> Figures:
    columns = (
        Column(title="grows", value="series"),
        Column(title="at", value="x", format=","),
        Column(title="all requests", value="ms", format=".0f", unit=" ms"),
        Column(title="images a second", value="images_per_second", format=".1f"),
    )
    return new_figures(
        question="How does cost grow with pixels, output tokens and requests in flight?",
        rounds=rounds,
        conditions=f"The {NANO} checkpoint; medians of the rounds.",
        measurements=(
            {"series": name, "x": point.x, "ms": 1000 * took, "images_per_second": point.requests / took}
            for name, points in series.items()
            for point, took in zip(points, seconds[name], strict=True)
        ),
        tables={"growth": Table(rows=("series", "x"), columns=columns)},
    )


def _draw(drawing: Path, series: dict[str, list[Point]], seconds: dict[str, list[float]], caption: str) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3), layout="constrained")
        for axes, (name, points) in zip(figure.subplots(1, len(series)), series.items(), strict=True):
            together = points[-1].in_flight > 1
            values = [
                point.requests / took if together else 1000 * took
                for point, took in zip(points, seconds[name], strict=True)
            ]
            axes.plot([point.x for point in points], values, marker="o")
            axes.set(xlabel=name, ylabel="images a second" if together else "ms a request", ylim=(0, None))
        figure.supxlabel(caption, x=0.99, ha="right", fontsize=7, color="dimgray")
        figure.savefig(drawing, metadata={"Date": None})


if __name__ == "__main__":
    typer.run(main)
