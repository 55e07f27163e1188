"""What a variable of the environment costs or gains: `python -m perf.environment MALLOC_MMAP_THRESHOLD_=1048576`.

Two servers with the embedded checkpoint, side by side, one of them with the variable; both read the same images in
turn. Prints the median ratios of images a second, with it over without it, and their 95 % intervals.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import tritonclient.grpc.aio as triton_grpc
import typer
from rich.console import Console
from rich.table import Table

from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import ServerOptions, TritonServer
from ocrvl.wire import Model, Tensor
from perf.bench.workload import Size, draw_images
from perf.compare import Ratio, measure_pairs
from perf.requests import encode_inputs, encode_text

_REQUESTS: Final = {Size.LINE: (48, 24), Size.RECEIPT: (24, 12), Size.PAGE: (4, 4)}
"""How many in one measurement, and how many of them in flight."""

_OPTIONS: Final = b'{"max_tokens": 32, "stop_repetition": false}'


def main(
    variable: Annotated[str, typer.Argument(metavar="NAME=VALUE", help="A variable of the server's environment.")],
    pairs: Annotated[int, typer.Option(min=6, help="Pairs of measurements.")] = 10,
) -> None:
    """Compare a server with the variable to one without it."""
    name, equals, value = variable.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{variable!r} is not NAME=VALUE")
    table = Table("images", f"with {variable} / without", "95 % interval", "pairs")
    with TritonServer(_options({name: value})) as changed, TritonServer(_options({})) as usual:
        for server in (changed, usual):
            server.wait_until_ready()
        for size, files in draw_images().items():
            inputs = [
                encode_inputs({Tensor.IMAGE: encode_text(file), Tensor.OPTIONS: encode_text(_OPTIONS)})
                for file in files
            ]
            requests, in_flight = _REQUESTS[size]
            first, second = (
                partial(_images_per_second, server, inputs, requests, in_flight) for server in (changed, usual)
            )
            # the first of each is for what is set up once: connections, memory
            first(), second()
            ratio = Ratio.of([one / other for one, other in measure_pairs(first, second, pairs)])
            table.add_row(size, f"{ratio.median:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}", str(ratio.pairs))
    Console().print(table)


def _options(environment: dict[str, str]) -> ServerOptions:
    return ServerOptions(
        find_model_repository(), http_port=0, grpc_port=0, metrics_port=0, models=(Model.OCR,), environment=environment
    )


def _images_per_second(server: TritonServer, inputs: Sequence[list[Any]], requests: int, in_flight: int) -> float:
    began = time.perf_counter()
    asyncio.run(_send(server, inputs, requests, in_flight))
    return requests / (time.perf_counter() - began)


async def _send(server: TritonServer, inputs: Sequence[list[Any]], requests: int, in_flight: int) -> None:
    room = asyncio.Semaphore(in_flight)
    async with triton_grpc.InferenceServerClient(server.grpc_url) as client:

        async def one(number: int) -> None:
            async with room:
                # an error is raised, so what comes back has been read
                await client.infer(Model.OCR.value, inputs[number % len(inputs)])

        await asyncio.gather(*map(one, range(requests)))


if __name__ == "__main__":
    typer.run(main)
