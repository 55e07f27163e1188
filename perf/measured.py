"""The figures that other tools compute with, read from docs/performance.md, where they are written down once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

PERFORMANCE: Final = Path(__file__).parent.parent / "docs/performance.md"


class Work(StrEnum):
    """What is read: receipts of 150 tokens, pages of a million pixels and 1,000 tokens."""

    RECEIPTS = "receipts"
    PAGES = "pages"


@dataclass(frozen=True)
class Measured:
    """Of one engine on one H100, and of the processes around it.

    `alone_seconds` is one image with nothing else in flight; `rate_at` has images a second by how many are in
    flight. Milliseconds of processor time are for one receipt; `page_preprocess_ms` for one page. `server_gib` is the
    memory of a whole server with one engine, of the nano checkpoint on a CPU.
    """

    alone_seconds: dict[Work, float]
    rate_at: dict[Work, dict[int, float]]
    restart_seconds: float
    preprocess_ms: float
    front_end_ms: float
    triton_ms: float
    engine_ms: float
    server_gib: float
    page_preprocess_ms: float


def read_measured(path: Path = PERFORMANCE) -> Measured:
    """The figures of the page. Raises `ValueError` naming the sentence that is no longer there."""
    page = " ".join(path.read_text("utf-8").split())

    def find(pattern: str) -> tuple[float, ...]:
        found = re.search(pattern, page)
        if not found:
            raise ValueError(f"{path}: nothing there reads like {pattern!r}; say in perf/measured.py how it reads now")
        return tuple(float(group.replace(",", "")) for group in found.groups())

    number = r"(\d+(?:\.\d+)?)"
    many, few = (int(count) for count in find(r"when (\d+) instead of (\d+) were in flight"))
    pages_few, pages_many, receipts_few, receipts_many = find(
        rf"pages went from {number} to {number} a second and receipts from {number} to {number}"
    )
    (receipt_alone,) = find(rf"of a receipt {number}, \d+ and \d+ ms")
    (page_alone,) = find(rf"A page alone takes {number} s")
    preprocess, front_end, triton = find(
        rf"ours takes {number} in `preprocess`, {number} in the engine's front end and {number} in Triton"
    )
    (engine,) = find(rf"in Triton, and the engine's process {number};")
    (server,) = find(rf"Peak memory, nano: ours {number} GiB")
    (restart,) = find(rf"answered again after {number} s")
    (page_preprocess,) = find(rf"7 to {number} ms of a core for a page")
    return Measured(
        alone_seconds={Work.RECEIPTS: receipt_alone / 1000, Work.PAGES: page_alone},
        rate_at={
            Work.RECEIPTS: {few: receipts_few, many: receipts_many},
            Work.PAGES: {few: pages_few, many: pages_many},
        },
        restart_seconds=restart,
        preprocess_ms=preprocess,
        front_end_ms=front_end,
        triton_ms=triton,
        engine_ms=engine,
        server_gib=server,
        page_preprocess_ms=page_preprocess,
    )
