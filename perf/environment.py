"""`python -m perf environment MALLOC_MMAP_THRESHOLD_=1048576`: what a variable of the environment costs or gains.

Two servers with the embedded checkpoint, side by side, one of them with the variable; both read the same images in
turn. Prints the median ratios of images a second, with it over without it, and their 95 % intervals.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from ocrvl.launcher.server import ServerOptions, TritonServer
from ocrvl.wire import Model
from perf.bench.workload import Size, draw_images
from perf.compare import Ratio, measure_pairs
from perf.harness.loops import infer_in_loop
from perf.harness.server import server_options, start_server
from perf.harness.tensors import encode_inputs, image_tensors

_REQUESTS: Final = {Size.LINE: (48, 24), Size.RECEIPT: (24, 12), Size.PAGE: (4, 4)}
"""How many in one measurement, and how many of them in flight."""


def main(
    variable: Annotated[str, typer.Argument(metavar="NAME=VALUE", help="A variable of the server's environment.")],
    pairs: Annotated[int, typer.Option(min=6, help="Pairs of measurements.")] = 10,
) -> None:
    """Compare a server with the variable to one without it."""
    name, equals, value = variable.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{variable!r} is not NAME=VALUE")
    table = Table("images", f"with {variable} / without", "95 % interval", "pairs")
    with start_server(_options({name: value})) as changed, start_server(_options({})) as usual:
        for size, files in draw_images().items():
            inputs = [encode_inputs(image_tensors(file, max_tokens=32, stop_repetition=False)) for file in files]
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
    return server_options(models=(Model.OCR,), environment=environment)


def _images_per_second(server: TritonServer, inputs: Sequence[list[Any]], requests: int, in_flight: int) -> float:
    began = time.perf_counter()
    asyncio.run(infer_in_loop(server.grpc_url, Model.OCR, inputs, requests=requests, in_flight=in_flight))
    return requests / (time.perf_counter() - began)


if __name__ == "__main__":
    typer.run(main)
