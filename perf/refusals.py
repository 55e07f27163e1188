"""`python -m perf refusals`: processor time of the whole server for a refused request, against an accepted one.

Starts a server, reads images, then fills the engine and its queue and sends requests that must be refused.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from random import Random
from typing import Annotated, Any, Final

import psutil
import tritonclient.grpc.aio as triton_grpc
import typer
from rich.console import Console
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.figures.data import Column, Table
from perf.figures.new import Output, Save, keep, new_figures
from perf.harness.loops import closed_loop
from perf.harness.server import start_server
from perf.harness.tensors import bytes_tensor, encode_inputs, image_tensors
from training.nano.world import World

_SLOW: Final[dict[str, Any]] = {"regex": "[a-z]{3500}", "stop_repetition": False}
_TABLE: Final = Table(
    rows=("request",),
    columns=(
        Column(title="request", value="request"),
        Column(title="requests", value="requests"),
        Column(title="processor time", value="cpu_ms", format=".2f", unit=" ms"),
    ),
)
_FILLINGS = (80, 160, 40)
"""Requests that fill the engine and the queue of the shipped repository, 72 and 128, and some. They come in turns: of a
burst most are refused before the engine has taken what it can."""


def main(
    accepted: Annotated[int, typer.Option(help="Requests that are read.")] = 300,
    refused: Annotated[int, typer.Option(help="Requests that are refused.")] = 3000,
    save: Save = False,
    output: Output = None,
) -> None:
    """Measure processor seconds a request, of `tritonserver` and everything it started."""
    images = [World(Random(number)).line().png() for number in range(64)]
    with start_server() as server:
        read, refusal, busy = asyncio.run(_measure(server, images, accepted, refused))
    figures = new_figures(
        question="What does a refused request cost?",
        rounds=None,
        conditions=(
            "Processor time of the whole server for a request: a line that is read, and one that is refused while the "
            "engine is full. What the engine does meanwhile is not counted, and what the others do while nothing is "
            f"sent ({busy:.3f} CPU seconds a second) is taken off."
        ),
        measurements=(
            {"request": "read (a line)", "requests": accepted, "cpu_ms": 1000 * read},
            {"request": "refused while the engine is full", "requests": refused, "cpu_ms": 1000 * refusal},
        ),
        tables={"cpu-ms": _TABLE},
    )
    keep("refusals", figures, Console(), save_them=save, output=output)


async def _measure(
    server: TritonServer, images: list[bytes], accepted: int, refused: int
) -> tuple[float, float, float]:
    """Processor seconds of a reading and of a refusal, and those a second that pass while nothing is sent."""
    root = psutil.Process(server.pid)
    async with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        inputs = [encode_inputs(image_tensors(image)) for image in images]
        await _send(client, inputs, 64, 64)
        before = _seconds(root)
        await _send(client, inputs, accepted, 64)
        read = (_seconds(root) - before) / accepted

        token = uuid.uuid4().hex
        slow = encode_inputs(image_tensors(images[0], cancel_token=token, **_SLOW))
        filling = []
        for count in _FILLINGS:
            filling += [asyncio.create_task(_outcome(client, slow)) for _ in range(count)]
            await asyncio.sleep(4)
        # the full engine works on meanwhile, on whatever processor time is left, and its tokens pass through others
        began, before = time.monotonic(), _seconds(root, "VLLM")
        await asyncio.sleep(5)
        busy = (_seconds(root, "VLLM") - before) / (time.monotonic() - began)
        began, before = time.monotonic(), _seconds(root, "VLLM")
        outcomes = await _send(client, inputs, refused, 32)
        cost = _seconds(root, "VLLM") - before - busy * (time.monotonic() - began)
        cancel = encode_inputs({Tensor.CANCEL_TOKEN: bytes_tensor(token.encode())})
        await client.infer(Model.CANCEL.value, cancel)
        await asyncio.gather(*filling)
    assert set(outcomes) == {"StatusCode.UNAVAILABLE"}, outcomes
    return read, max(cost, 0.0) / refused, busy


async def _send(client: Any, inputs: list[list[Any]], count: int, in_flight: int) -> Counter[str]:
    ended = await closed_loop(lambda number: _outcome(client, inputs[number % len(inputs)]), in_flight, requests=count)
    return Counter(one.result for one in ended)


async def _outcome(client: Any, inputs: list[Any]) -> str:
    try:
        await client.infer(Model.OCR.value, inputs)
    except InferenceServerException as error:
        return str(error.status())
    return "read"


def _seconds(root: psutil.Process, leave_out: str | None = None) -> float:
    """Processor seconds so far of a process and all that it started, but for those of a name that begins so."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        if leave_out is None or not process.name().startswith(leave_out):
            times = process.cpu_times()
            total += times.user + times.system
    return total


if __name__ == "__main__":
    typer.run(main)
