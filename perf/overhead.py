"""What the doors cost: the engine's model against one with nothing in it but the engine; streams against unary.

Sends the same images to both in turn, 64 in flight, and prints median ratios of images per second with their 95 %
intervals.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
import tritonclient.grpc.aio as triton_grpc
import typer
from rich.console import Console
from rich.table import Table

from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.bare import install_bare_model
from perf.compare import Ratio, measure_pairs
from perf.harness.loops import closed_loop, infer_stream
from perf.harness.server import server_options, start_server
from perf.harness.tensors import encode_inputs, image_tensors
from training.nano.world import World

_HOP = (
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
"""A server, the model that is asked, and its inputs."""

_TITLES = {Comparison.ENGINE: "engine's model / bare unary model", Comparison.STREAMS: "ocr_stream / ocr"}


def main(
    pairs: Annotated[int, typer.Option(help="Pairs of measurements.")] = 12,
    requests: Annotated[int, typer.Option(help="Requests of one measurement.")] = 256,
    in_flight: Annotated[int, typer.Option(help="Requests in flight.")] = 64,
    only: Annotated[Comparison | None, typer.Option(help="One of the two comparisons.")] = None,
    output: Annotated[Path | None, typer.Option(help="A JSON file for the single measurements.")] = None,
) -> None:
    """Compare the engine's model with a bare one, and streams with unary requests."""
    images = [World(Random(number)).line().png() for number in range(64)]
    ask = partial(_images_per_second, requests=requests, in_flight=in_flight)
    results: dict[str, list[tuple[float, float]]] = {}
    for comparison, prepare in ((Comparison.ENGINE, _engines), (Comparison.STREAMS, _streams)):
        if only not in (None, comparison):
            continue
        with ExitStack() as stack:
            first, second = (partial(ask, *side) for side in prepare(stack, images))
            # the first of each is for what is set up once: connections, memory
            first(), second()
            results[_TITLES[comparison]] = measure_pairs(first, second, pairs)
    _print(results, in_flight)
    if output:
        output.write_text(json.dumps(results, indent=2))


def _engines(stack: ExitStack, images: Sequence[bytes]) -> tuple[_Side, _Side]:
    """The engine's model and a bare one, in servers that have nothing else but `preprocess`."""
    models = (Model.ENGINE.value, Model.PREPROCESS.value)
    served, bare = (_start(stack, repository, models) for repository in (find_model_repository(), _bare(stack)))
    hops = asyncio.run(_preprocess(served, images))
    return (served, Model.ENGINE, hops), (bare, Model.ENGINE, hops)


def _streams(stack: ExitStack, images: Sequence[bytes]) -> tuple[_Side, _Side]:
    """Streams and unary requests to the same server."""
    server = _start(stack, find_model_repository())
    inputs = [encode_inputs(image_tensors(file)) for file in images]
    return (server, Model.STREAM, inputs), (server, Model.OCR, inputs)


def _start(stack: ExitStack, repository: Path, models: tuple[str, ...] = ()) -> TritonServer:
    return stack.enter_context(start_server(server_options(repository, models=models)))


def _bare(stack: ExitStack) -> Path:
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
            made.append(encode_inputs({name: answer.as_numpy(name.value) for name in _HOP}))
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


def _print(results: dict[str, list[tuple[float, float]]], in_flight: int) -> None:
    table = Table("ratio", "median", "95 % interval", "pairs", "images/s (medians)", title=f"{in_flight} in flight")
    for name, measured in results.items():
        ratio = Ratio.of([first / second for first, second in measured])
        firsts, seconds = (np.median(side) for side in zip(*measured, strict=True))
        interval = f"{ratio.low:.3f} to {ratio.high:.3f}"
        table.add_row(name, f"{ratio.median:.3f}", interval, str(ratio.pairs), f"{firsts:.1f} / {seconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
