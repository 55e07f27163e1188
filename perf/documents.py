"""`python -m perf documents`: how fast documents are, what they hold in memory, and what others feel of a long one.

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

from ocrvl.launcher.interfaces import Interface
from ocrvl.launcher.server import TritonServer
from ocrvl_client import Client, Document
from perf.bench.alone import EngineAlone
from perf.bench.cores import ENGINE_CORE, ENVIRONMENT, OTHERS_CORE, pin_threads
from perf.bench.report import percentile
from perf.bench.systems import ENGINE
from perf.bench.workload import NANO, Size
from perf.figures.data import Column, Table, Value
from perf.figures.new import Output, Save, keep, new_figures, span
from perf.harness.documents import DPI, DrawnPage, Typesetter, write_pdf
from perf.harness.repository import copy_repository
from perf.harness.serve_process import classify
from perf.harness.server import server_options, start_server

_TOKENS: Final = 24
_ONE_BY_ONE_PAGES: Final = 4
_IMAGES: Final = frozenset({"image", "chart", "seal", "header_image", "footer_image"})
_TABLES: Final = {
    "speed": Table(
        rows=("system",),
        columns=(
            Column(title="system", value="system"),
            Column(title="pages a second", value="pages_per_second", format=".2f"),
            Column(title="document / it", value="ratio", format=".2f"),
        ),
    ),
    "memory": Table(
        rows=("pages",),
        columns=(
            Column(title="pages", value="pages"),
            Column(title="all processes at most", value="peak_mib", format=".0f", unit=" MiB"),
            Column(title="took", value="seconds", format=".0f", unit=" s"),
        ),
    ),
    "waits": Table(
        rows=("one_page",),
        columns=(
            Column(title="a document of one page", value="one_page"),
            Column(title="p50", value="p50_seconds", format=".2f", unit=" s"),
            Column(title="p95", value="p95_seconds", format=".2f", unit=" s"),
        ),
    ),
}
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
    save: Save = False,
    output: Output = None,
) -> None:
    """Measure how fast documents are, what they hold in memory, and what others wait beside a long one."""
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
        records = [
            *_compare_speed(client, pdf, crops, by_page, alone, pages, rounds),
            *_compare_memory(server, client, short, long),
            *_compare_waits(client, long, others),
        ]
    figures = new_figures(
        question="How fast are documents, what do they hold in memory, and what do others wait beside a long one?",
        rounds=rounds,
        conditions=(
            f"{NANO.description}. Drawn pages of two columns, {_TOKENS} tokens a block; ratios are document / it, with "
            "the smallest and the largest of the rounds."
        ),
        measurements=records,
        tables=_TABLES,
    )
    keep("documents", figures, _console, save_them=save, output=output)
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
) -> Iterator[dict[str, Value]]:
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
    for name, measured in rates.items():
        record: dict[str, Value] = {"system": name, "pages_per_second": statistics.median(measured)}
        if name != "document":
            record["ratio"] = span([ours / theirs for ours, theirs in zip(rates["document"], measured, strict=True)])
        yield record


def _compare_memory(server: TritonServer, client: Client, short: int, long: int) -> Iterator[dict[str, Value]]:
    for count in (short, long):
        pdf = write_pdf(draw_pages(count, seed=count))
        with _watch(psutil.Process(server.pid)) as memory:
            began = time.perf_counter()
            client.document(pdf, max_new_tokens=1)
            seconds = time.perf_counter() - began
        yield {"pages": count, "peak_mib": memory.peak / 2**20, "seconds": seconds}


def _compare_waits(client: Client, long: int, count: int) -> Iterator[dict[str, Value]]:
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
    if not still:
        _console.print(f"the document of {long} pages was no longer read at the end", style="red")
    for name, waits in (("alone", alone), (f"beside one of {long} pages", beside)):
        yield {"one_page": name, "p50_seconds": statistics.median(waits), "p95_seconds": percentile(waits, 95)}


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
