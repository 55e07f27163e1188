"""Runs of `ocrvl read` with a client of a few lines, and what they have written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocrvl.wire import FinishReason
from ocrvl_cli.reading.batch import Limits
from ocrvl_cli.reading.connection import ReadingClient, Server
from ocrvl_cli.reading.errors import Exit
from ocrvl_cli.reading.read_plan import Format, ReadPlan
from ocrvl_cli.reading.run import read_all
from ocrvl_client import Document, Page, Reading, Receipt
from ocrvl_client._receipts import decode_receipt
from tests.support.receipt_answers import answer, encode_answer
from tests.support.receipt_answers import field as receipt_field

PDF = b"%PDF-1.7 "
LIMITS = Limits(jobs=4, documents=2, retry_timeout=0.05, poll=0.01)
TEXTS = ReadPlan(to_files=True, formats=(Format.TEXT,))


@dataclass
class Scripted:
    """A client: the text of an image is its bytes, a document has two pages.

    `fail` is called before a request is answered, `away` counts down the looks at a server that is not ready. None is
    answered before `together` requests have been in flight at once, so that a slow machine sees them together too.
    """

    fail: Callable[[bytes], None] = lambda _data: None
    away: int = 0
    together: int = 1
    requests: list[tuple[bytes, Mapping[str, Any]]] = field(default_factory=list)
    inside: int = 0
    most_inside: int = 0
    ended: list[bytes] = field(default_factory=list)
    page_error: str = ""
    block_error: str = ""
    _met: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, image: bytes, **options: Any) -> Reading:
        await self._take(image, options)
        return Reading(image.decode(), FinishReason.STOP, 5, 2, warning="one frame of 2" if b"two" in image else "")

    async def document_stream(self, file: bytes, **options: Any) -> AsyncGenerator[Page | Document, None]:
        await self._take(file, options)
        for page in self._pages():
            yield page
        yield Document("# Title")

    async def receipt(self, image: bytes, **options: Any) -> Receipt:
        await self._take(image, options)
        drawn = b"drawing" if options.get("visualize") else b""
        return decode_receipt(encode_answer(answer(company=receipt_field(image.decode(), image.decode())), drawn))

    async def is_ready(self) -> bool:
        self.away -= 1
        return self.away < 0

    def _pages(self) -> Iterator[Page]:
        for index in range(2):
            block = {"block_label": "text", "block_bbox": [0, 0, 1, 1], "block_content": "Tea"}
            block |= {"error": self.block_error} if self.block_error and index else {}
            error = self.page_error if index else ""
            images = {f"page_{index + 1:04d}.jpg": b"jpeg"}
            yield Page(index, "", {"parsing_res_list": [block]}, images, error, "", index + 1, 2)

    async def _take(self, data: bytes, options: Mapping[str, Any]) -> None:
        self.requests.append((data, options))
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self.most_inside >= self.together:
                self._met.set()
            await self._met.wait()
            await asyncio.sleep(0.001)
            self.fail(data)
        except asyncio.CancelledError:
            self.ended.append(data)
            raise
        finally:
            self.inside -= 1


def refuse(words: bytes, error: Exception) -> Callable[[bytes], None]:
    def fail(data: bytes) -> None:
        if words in data:
            raise error

    return fail


@dataclass(frozen=True)
class ScriptedServer(Server):
    client: Scripted = field(default_factory=Scripted)

    def connect(self) -> AbstractAsyncContextManager[ReadingClient]:
        @asynccontextmanager
        async def connected() -> AsyncGenerator[ReadingClient, None]:
            yield self.client

        return connected()


def read(
    client: Scripted,
    *paths: Path | str,
    plan: ReadPlan = TEXTS,
    output: Path | None = None,
    limits: Limits = LIMITS,
    force: bool = False,
) -> Exit:
    server = ScriptedServer("127.0.0.1:9", client=client)
    return read_all([str(path) for path in paths], server, plan, limits, output, force=force)


def written(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in sorted(out.rglob("*.txt"))}


ALL = {f"{number}.txt": f"text {number}" for number in range(20)}
