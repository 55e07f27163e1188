"""One input: sent to the server as its plan says, and its results written or kept for the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from ocrvl_cli.reading.connection import ReadingClient
from ocrvl_cli.reading.errors import InputError
from ocrvl_cli.reading.output_files import check_name, remove_files, write_file
from ocrvl_cli.reading.read_plan import DOCX_SUFFIX, DRAWING_SUFFIX, Format, InputPlan, ReadPlan
from ocrvl_cli.reading.receipts import render_receipt
from ocrvl_cli.reading.record import Record
from ocrvl_cli.reading.render import describe_pages, render_document, render_reading
from ocrvl_cli.reading.sources import Input
from ocrvl_cli.terminal import dump_json
from ocrvl_client import Document, Page

Files = Mapping[str, int]
"""Results: their sizes by their names below the output folder."""


@dataclass
class Result:
    """What became of an input: its text for the screen, or its files of each format; and what is to be said about it.

    With `problems` it counts as failed, though a part may have been read. `skipped`: it was done in an earlier run.
    """

    name: str
    text: str = ""
    written: tuple[Path, ...] = ()
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped: bool = False


@dataclass(frozen=True)
class Output:
    """Where results go as files. With `force`, what is done is done again."""

    folder: Path
    record: Record
    force: bool = False


class Reader:
    """Reads inputs. Without an `output` the results are for the screen.

    `on_pages` gets how many pages were done, how large a part of their input they are, and how many pages of it became
    known; all are negative where an input is begun again.
    """

    def __init__(
        self,
        client: ReadingClient,
        plan: ReadPlan,
        *,
        output: Output | None = None,
        on_pages: Callable[[int, float, int], None] = lambda _pages, _part, _known: None,
    ) -> None:
        self._client, self._plan, self._output, self._on_pages = client, plan, output, on_pages

    async def is_server_ready(self) -> bool:
        """Whether requests can be taken. Raises `OcrvlError`."""
        return await self._client.is_ready()

    @property
    def reads_documents(self) -> bool:
        """Whether PDF files can be read as well as images."""
        return not self._plan.receipt

    def is_document(self, data: bytes) -> bool:
        """Whether these bytes are read page by page."""
        return self._plan.for_file(data).document

    def is_done(self, one: Input, data: bytes | None) -> bool:
        """Whether an input was read in an earlier run and is unchanged, by its bytes or by its size and time."""
        output = self._output
        return output is not None and not output.force and output.record.is_done(one, self._plan.digest, data)

    def check_place(self, one: Input, data: bytes) -> None:
        """See that an input's results can be written. Raises `InputError`."""
        if self._output is not None:
            input_plan = self._plan.for_file(data)
            for each in input_plan.formats:
                check_name(self._output.folder, f"{self._stem(one, input_plan)}{each.suffix}")

    def note_done(self, one: Input, data: bytes, modified: int, files: Files) -> None:
        """Note for later runs that an input is done. Raises `OutputError`."""
        if self._output is not None:
            self._output.record.add(one, self._plan.digest, data, modified, files)

    async def read_image(self, one: Input, data: bytes, result: Result) -> Files:
        """Read an image as a whole. Raises `InputError`, `OcrvlError`, `OutputError`."""
        input_plan = self._plan.for_file(data)
        if input_plan.receipt:
            return await self.read_receipt(one, data, result)
        reading = await self._client.read(data, task=input_plan.task, **self._plan.options)
        if reading.error:
            raise InputError(reading.error)
        if reading.warning:
            result.warnings.append(reading.warning)
        self._on_pages(1, 1.0, 1)
        texts = {each: render_reading(reading, one.name, each, input_plan.task) for each in input_plan.formats}
        return await self._finish(one, input_plan, texts, {}, result)

    async def read_receipt(self, one: Input, data: bytes, result: Result) -> Files:
        """Find the fields of a receipt. Raises as `read_image`."""
        input_plan = self._plan.for_file(data)
        receipt = await self._client.receipt(data, **{"visualize": input_plan.draw, **self._plan.options})
        result.warnings = list(receipt.warnings)
        self._on_pages(1, 1.0, 1)
        texts = {each: render_receipt(receipt.json, one.name, each) for each in input_plan.formats}
        drawing = {DRAWING_SUFFIX: receipt.drawing} if receipt.drawing else {}
        return await self._finish(one, input_plan, texts, drawing, result)

    async def read_document(self, one: Input, data: bytes, result: Result) -> Files:
        """Read a document; images are written as its pages come. Raises as `read_image`.

        What could not be read of it is in `result`, the rest is written.
        """
        input_plan = self._plan.for_file(data)
        result.problems, result.warnings = [], []
        pages: list[Page] = []
        whole: Document | None = None
        images: dict[str, int] = {}
        part, known = 0.0, 0
        try:
            async with aclosing(self._client.document_stream(data, **self._plan.document_options(input_plan))) as parts:
                async for page in parts:
                    if isinstance(page, Document):
                        whole = page
                        continue
                    self._on_pages(1, 1 / page.total, page.total - known)
                    part, known = part + 1 / page.total, page.total
                    _report(page, result)
                    images |= await self._write_images(one, page)
                    # a page of HTML has its images inside it; else they are not held until the end
                    pages.append(page if Format.HTML in input_plan.formats else replace(page, images={}))
        except BaseException:
            self._on_pages(-len(pages), -part, -known)
            raise
        if whole is None:
            raise InputError("the server has ended the document without its last part")
        texts = {each: render_document(whole, pages, one.name, each) for each in input_plan.formats}
        if self._output is not None and Format.JSON in texts:
            texts[Format.JSON] = dump_json(describe_pages(pages), indent=1)
        more = {DOCX_SUFFIX: whole.docx} if whole.docx else {}
        files = {**images, **await self._finish(one, input_plan, texts, more, result)}
        if self._output is not None:
            await asyncio.to_thread(remove_files, self._output.folder, self._output.record.replaced(one, files))
        return files

    async def _finish(
        self, one: Input, input_plan: InputPlan, texts: Mapping[Format, str], more: Mapping[str, bytes], result: Result
    ) -> Files:
        """Write the results, or keep the one for the screen."""
        if self._output is None:
            result.text = texts[input_plan.formats[0]]
            return {}
        target = self._stem(one, input_plan)
        files = {f"{target}{each.suffix}": text.encode("utf-8", "backslashreplace") for each, text in texts.items()}
        files |= {f"{target}{suffix}": file for suffix, file in more.items()}
        result.written = tuple(self._output.folder / name for name in files)
        return await self._write(files)

    def _stem(self, one: Input, input_plan: InputPlan) -> str:
        """An input's main results below the folder, without their suffixes."""
        assert self._output is not None
        target = self._output.record.target_of(one)
        return f"{target}/{target.rpartition('/')[2]}" if input_plan.document else target

    async def _write_images(self, one: Input, page: Page) -> dict[str, int]:
        """Write a page's images where results become files."""
        if self._output is None or not page.images:
            return {}
        folder = self._output.record.target_of(one)
        files = {f"{folder}/{name}": data for name, data in page.images.items()}
        await asyncio.to_thread(self._output.record.start, one, files.keys())
        return await self._write(files)

    async def _write(self, files: Mapping[str, bytes]) -> dict[str, int]:
        assert self._output is not None
        for name, data in files.items():
            await asyncio.to_thread(write_file, self._output.folder, name, data)
        return {name: len(data) for name, data in files.items()}


def _report(page: Page, result: Result) -> None:
    """Adds what of a page could not be read to the problems, and its warning."""
    where = f"page {page.index + 1}"
    if page.warning:
        result.warnings.append(f"{where}: {page.warning}")
    if page.error:
        result.problems.append(f"{where}: {page.error}")
    result.problems += [f"{where}: {block.error}" for block in page.blocks if block.error]
