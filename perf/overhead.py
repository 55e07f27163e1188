"""`python -m perf overhead`: the engine's model against one with nothing in it but the engine; streams against unary.

Sends the same images to both in turn, 64 in flight, and prints median ratios of images per second with their 95 %
intervals.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final

import tritonclient.grpc.aio as triton_grpc
import typer
from rich.console import Console

from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.bare import install_bare_model
from perf.compare import measure_pairs
from perf.figures.data import Column, Table, Value
from perf.figures.new import Output, Save, keep, new_figures, summarize
from perf.harness.loops import closed_loop, infer_stream
from perf.harness.server import server_options, start_server
from perf.harness.tensors import encode_inputs, image_tensors
from training.nano.world import World

_ENGINE_INPUT = (
    Tensor.PATCHES,
    Tensor.GRID_THW,
    Tensor.SOURCE_SIZE,
    Tensor.TASKS,
    Tensor.IMAGE_ERROR,
    Tensor.IMAGE_WARNING,
    Tensor.CHECKED_OPTIONS,
)


class Comparison(StrEnum):
    """What is compared."""

    ENGINE = "engine"
    STREAMS = "streams"


_Side = tuple[TritonServer, Model, Sequence[list[Any]]]
"""A server, the model that is called, and its inputs."""

_TITLES: Final = {
    Comparison.ENGINE: "engine's model / bare model, lines",
    Comparison.STREAMS: "streams / single answers, lines",
}
_COLUMNS: Final = (
    Column(title="images a second", value="comparison"),
    Column(title="ratio", value="ratio", format=".3f"),
    Column(title="pairs", value="pairs"),
    Column(title="first", value="first_per_second", format=".1f"),
    Column(title="second", value="second_per_second", format=".1f"),
)


def main(
    pairs: Annotated[int, typer.Option(help="Pairs of measurements.")] = 12,
    requests: Annotated[int, typer.Option(help="Requests of one measurement.")] = 256,
    in_flight: Annotated[int, typer.Option(help="Requests in flight.")] = 64,
    only: Annotated[Comparison | None, typer.Option(help="One of the two comparisons.")] = None,
    save: Save = False,
    output: Output = None,
) -> None:
    """Compare the engine's model with a bare one, and streams with unary requests."""
    images = [World(Random(number)).line().png() for number in range(64)]
    measure = partial(_images_per_second, requests=requests, in_flight=in_flight)
    records = []
    for comparison, prepare in ((Comparison.ENGINE, _engines), (Comparison.STREAMS, _streams)):
        if only not in (None, comparison):
            continue
        with ExitStack() as stack:
            first, second = (partial(measure, *side) for side in prepare(stack, images))
            # the first of each is for what is set up once: connections, memory
            first(), second()
            records.append(_record(comparison, measure_pairs(first, second, pairs)))
    figures = new_figures(
        question="What do this project's models cost around the engine?",
        rounds=pairs,
        conditions=f"Lines, {in_flight} in flight; median ratios of images a second with their 95 % intervals.",
        measurements=records,
        tables={"ratios": Table(rows=("comparison",), columns=_COLUMNS)},
    )
    keep("overhead", figures, Console(), save_them=save, output=output)


def _record(comparison: Comparison, measured: Sequence[tuple[float, float]]) -> dict[str, Value]:
    firsts, seconds = zip(*measured, strict=True)
    return {
        "comparison": _TITLES[comparison],
        "ratio": summarize([first / second for first, second in measured]),
        "pairs": len(measured),
        "first_per_second": statistics.median(firsts),
        "second_per_second": statistics.median(seconds),
    }


def _engines(stack: ExitStack, images: Sequence[bytes]) -> tuple[_Side, _Side]:
    """The engine's model and a bare one, in servers that have nothing else but `preprocess`."""
    models = (Model.ENGINE.value, Model.PREPROCESS.value)
    served, bare = (_start(stack, repository, models) for repository in (find_model_repository(), _make_bare(stack)))
    inputs = asyncio.run(_preprocess(served, images))
    return (served, Model.ENGINE, inputs), (bare, Model.ENGINE, inputs)


def _streams(stack: ExitStack, images: Sequence[bytes]) -> tuple[_Side, _Side]:
    """Streams and unary requests to the same server."""
    server = _start(stack, find_model_repository())
    inputs = [encode_inputs(image_tensors(file)) for file in images]
    return (server, Model.STREAM, inputs), (server, Model.OCR, inputs)


def _start(stack: ExitStack, repository: Path, models: tuple[str, ...] = ()) -> TritonServer:
    return stack.enter_context(start_server(server_options(repository, models=models)))


def _make_bare(stack: ExitStack) -> Path:
    """A repository that differs in the engine's model alone."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-perf-"))) / "repository"
    shutil.copytree(find_model_repository(), folder)
    install_bare_model(folder)
    return folder


async def _preprocess(server: TritonServer, images: Sequence[bytes]) -> list[list[Any]]:
    """What `preprocess` makes of each image, as inputs of the engine's model."""
    made = []
    async with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        for image in images:
            answer = await client.infer(Model.PREPROCESS.value, encode_inputs(image_tensors(image)))
            made.append(encode_inputs({name: answer.as_numpy(name.value) for name in _ENGINE_INPUT}))
    return made


def _images_per_second(
    server: TritonServer, model: Model, inputs: Sequence[list[Any]], *, requests: int, in_flight: int
) -> float:
    began = time.perf_counter()
    asyncio.run(_send(server, model, inputs, requests, in_flight))
    return requests / (time.perf_counter() - began)


async def _send(server: TritonServer, model: Model, inputs: Sequence[list[Any]], requests: int, in_flight: int) -> None:
    send = _stream if model is Model.STREAM else _infer
    async with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        await closed_loop(
            lambda number: send(client, model, inputs[number % len(inputs)]), in_flight, requests=requests
        )


async def _infer(client: Any, model: Model, inputs: list[Any]) -> None:
    answer = await client.infer(model.value, inputs)
    assert answer.as_numpy(Tensor.FINISH_REASON.value).ravel()[0] == b"stop"


async def _stream(client: Any, model: Model, inputs: list[Any]) -> None:
    done = False
    async for answer in infer_stream(client, model, inputs):
        done = answer.as_numpy(Tensor.FINISH_REASON.value) is not None
    assert done


if __name__ == "__main__":
    typer.run(main)
