"""`python -m perf.documents`: how fast documents are, what they hold in memory, and what others feel of a long one.

Against the same blocks sent one by one from one client, and against the engine alone on all of them at once, which is
the limit. The engine has one core and everything else another, in all of them.
"""

from __future__ import annotations

import asyncio
import io
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import psutil
import pypdfium2
import typer
from rich.console import Console
from rich.table import Table as RichTable

from ocrvl.launcher.interfaces import Interface
from ocrvl.launcher.server import TritonServer
from ocrvl_client import Client, Document
from perf.bench.alone import EngineAlone
from perf.bench.cores import ENGINE_CORE, ENVIRONMENT, OTHERS_CORE, pin_threads
from perf.bench.report import percentile
from perf.bench.systems import ENGINE
from perf.bench.workload import NANO, Size
from perf.harness.documents import DPI, DrawnPage, Typesetter, write_pdf
from perf.harness.repository import copy_repository
from perf.harness.serve_process import classify
from perf.harness.server import server_options, start_server

_TOKENS: Final = 24
_ONE_BY_ONE_PAGES: Final = 4
_IMAGES: Final = frozenset({"image", "chart", "seal", "header_image", "footer_image"})
_console = Console(highlight=False, width=120)


@dataclass
class Memory:
    """The most memory that a server's processes have had together, in bytes; pages that they share count once."""

    peak: int = 0


def main(
    pages: Annotated[int, typer.Option(min=5, help="Pages of the document whose speed is compared.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each, in turn.")] = 3,
    short: Annotated[int, typer.Option(min=1, help="Pages of the shorter document whose memory is compared.")] = 30,
    long: Annotated[int, typer.Option(min=1, help="Pages of the longer one.")] = 300,
    others: Annotated[int, typer.Option(min=5, help="Requests of one page, alone and beside the longer one.")] = 20,
) -> None:
    """Measure and print."""
    began = time.monotonic()
    drawn = draw_pages(pages)
    pdf = write_pdf(drawn)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-documents-")))
        checkpoint = NANO.write_checkpoint(folder / "checkpoint")
        engine_args = NANO.engine_args(checkpoint)
        repository = copy_repository(folder / "repository", engine_args=engine_args, interfaces=Interface)
        server = stack.enter_context(start_server(server_options(repository, environment=ENVIRONMENT)))
        _pin(psutil.Process(server.pid))
        client = stack.enter_context(Client(server.grpc_url, timeout=1800))
        crops, by_page = cut_blocks(client, pdf)
        size = Size.LINE
        tokens = dict.fromkeys(Size, _TOKENS)
        alone = stack.enter_context(EngineAlone(engine_args, {size: crops}, tokens, ENVIRONMENT, folder / "log"))
        for name, process in alone.processes():
            pin_threads(process.pid, ENGINE_CORE if name == ENGINE else OTHERS_CORE)
        pin_threads(os.getpid(), OTHERS_CORE)
        _console.print(f"started, {len(crops)} blocks on {pages} pages, {time.monotonic() - began:.0f} s")
        _compare_speed(client, pdf, crops, by_page, alone, pages, rounds)
        _compare_memory(server, client, short, long)
        _compare_waits(client, long, others)
    _console.print(f"{time.monotonic() - began:.0f} s in all")


def draw_pages(count: int, seed: int = 0) -> list[DrawnPage]:
    """Pages of two columns, every third with a figure."""
    typesetter = Typesetter(seed)
    return [typesetter.page(number + 1, columns=2, figure=number % 3 == 0) for number in range(count)]


def cut_blocks(client: Client, pdf: bytes) -> tuple[list[bytes], list[int]]:
    """The blocks that a document's pages are read in, as PNG files, and how many each page has."""
    document = client.document(pdf, max_new_tokens=1, merge_layout_blocks=False, return_markdown_images=False)
    crops, by_page = [], []
    file = pypdfium2.PdfDocument(pdf)
    for page in document.pages:
        image = file[page.index].render(scale=DPI / 72).to_pil()
        blocks = [block for block in page.content["parsing_res_list"] if block["block_label"] not in _IMAGES]
        by_page.append(len(blocks))
        for block in blocks:
            buffer = io.BytesIO()
            image.crop(block["block_bbox"]).save(buffer, "PNG")
            crops.append(buffer.getvalue())
    return crops, by_page


def _compare_speed(
    client: Client,
    pdf: bytes,
    crops: Sequence[bytes],
    by_page: Sequence[int],
    alone: EngineAlone,
    pages: int,
    rounds: int,
) -> None:
    rates: dict[str, list[float]] = {"document": [], "block by block, one at a time": [], "the engine alone": []}
    for _ in range(rounds):
        began = time.perf_counter()
        client.document(pdf, max_new_tokens=_TOKENS, merge_layout_blocks=False)
        rates["document"].append(pages / (time.perf_counter() - began))
        began = time.perf_counter()
        for crop in crops[: sum(by_page[:_ONE_BY_ONE_PAGES])]:
            client.read(crop, max_tokens=_TOKENS)
        rates["block by block, one at a time"].append(_ONE_BY_ONE_PAGES / (time.perf_counter() - began))
        began = time.perf_counter()
        asyncio.run(alone.read(Size.LINE, len(crops), len(crops), 0))
        rates["the engine alone"].append(pages / (time.perf_counter() - began))
    table = RichTable(
        "", "pages/s", "document / it", title=f"{pages} pages, {len(crops)} blocks, {_TOKENS} tokens each"
    )
    for name, measured in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["document"], measured, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        table.add_row(name, f"{statistics.median(measured):.2f}", "" if name == "document" else spread)
    _console.print(table)


def _compare_memory(server: TritonServer, client: Client, short: int, long: int) -> None:
    peaks = []
    for count in (short, long):
        pdf = write_pdf(draw_pages(count, seed=count))
        with _watch(psutil.Process(server.pid)) as memory:
            began = time.perf_counter()
            client.document(pdf, max_new_tokens=1)
            seconds = time.perf_counter() - began
        peaks.append(memory.peak)
        _console.print(f"{count} pages: at most {memory.peak / 2**20:.0f} MB in all processes, {seconds:.0f} s")
    _console.print(f"memory for {long} pages / for {short}: {peaks[1] / peaks[0]:.2f}")


def _compare_waits(client: Client, long: int, count: int) -> None:
    one = write_pdf(draw_pages(1, seed=7))
    book = write_pdf(draw_pages(long, seed=8))

    def read_pages() -> list[float]:
        waits = []
        for _ in range(count):
            began = time.perf_counter()
            client.document(one, max_new_tokens=_TOKENS)
            waits.append(time.perf_counter() - began)
        return waits

    alone = read_pages()
    stream = client.document_stream(book, max_new_tokens=_TOKENS, return_markdown_images=False)
    next(stream)
    beside = read_pages()
    still = not isinstance(next(stream), Document)
    stream.close()
    title = (
        f"a document of one page, {count} times; one of {long} pages {'was' if still else 'was no longer'} read beside"
    )
    table = RichTable("", "p50", "p95", title=title)
    for name, waits in (("alone", alone), ("beside the long one", beside)):
        table.add_row(name, f"{statistics.median(waits):.2f} s", f"{percentile(waits, 95):.2f} s")
    _console.print(table)
    _console.print(f"p95 beside / alone: {percentile(beside, 95) / percentile(alone, 95):.1f}")


@contextmanager
def _watch(root: psutil.Process) -> Iterator[Memory]:
    """Look at the memory of a server's processes four times a second."""
    memory, stopped = Memory(), threading.Event()

    def look() -> None:
        while not stopped.wait(0.25):
            total = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            memory.peak = max(memory.peak, total)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield memory
    finally:
        stopped.set()
        thread.join()


def _pin(root: psutil.Process) -> None:
    for process in [root, *root.children(recursive=True)]:
        name = classify(process.name(), process.cmdline())[1]
        pin_threads(process.pid, ENGINE_CORE if name == ENGINE else OTHERS_CORE)


if __name__ == "__main__":
    typer.run(main)
