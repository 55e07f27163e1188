"""`python -m perf.sizing`: GPUs, cores and memory for so many pages a second, from measured figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perf.measured import Measured, Work, read_measured
from tools.docs import markdown_table, write_part

COMMAND: Final = "python -m perf.sizing"
PAGE: Final = Path("docs/operations.md")
WANTED: Final = (1, 5, 10, 25, 50, 100, 250)
HEAD: Final = ("pages a second", "GPUs, at ease", "GPUs, at most", "cores", "memory GiB", "shared memory GiB")

AT_EASE: Final = 32
"""Images in flight of each engine, as the autoscaler's defaults have it: room for bursts."""
AT_MOST: Final = 128

BUSY: Final = 0.7
"""The share of a core that work in front of the engine may take, so that it does not wait for one."""

WEIGHTS_GIB: Final = 1.7
DOCUMENTS_GIB: Final = 1.2
"""What the models of documents take, 1.3 GB."""
QUEUED_MIB: Final = 1
"""A page as it was sent, in the queue."""
PATCHES_MIB: Final = 3
"""A page of a million pixels, as patches: in shared memory once in front of the engine, and once with it."""
QUEUE: Final = 1024
IN_FLIGHT: Final = 144


@dataclass(frozen=True)
class Size:
    """What it takes to read `pages` a second. `gpus` at ease, `gpus_at_most` where nothing is left for bursts."""

    pages: float
    gpus: int
    gpus_at_most: int
    cores: int
    memory_gib: int
    shared_gib: int

    @classmethod
    def of(cls, pages: float, measured: Measured) -> Size:
        """The arithmetic, from one GPU's figures; memory is for one engine, times the GPUs."""
        rates = measured.rate_at[Work.PAGES]
        gpus = math.ceil(pages / rates[AT_EASE])
        front_ms = measured.page_preprocess_ms + measured.front_end_ms + measured.triton_ms
        # the engine's process is busy whatever it reads: of a receipt's time and rate follows how many cores that is
        engine_cores = math.ceil(measured.engine_ms * measured.rate_at[Work.RECEIPTS][AT_MOST] / 1000)
        shared = 2 * IN_FLIGHT * PATCHES_MIB / 1024
        memory = measured.server_gib + WEIGHTS_GIB + DOCUMENTS_GIB + QUEUE * QUEUED_MIB / 1024 + shared
        return cls(
            pages=pages,
            gpus=gpus,
            gpus_at_most=math.ceil(pages / rates[AT_MOST]),
            cores=math.ceil(pages * front_ms / 1000 / BUSY) + engine_cores * gpus,
            memory_gib=gpus * math.ceil(memory),
            shared_gib=gpus * math.ceil(shared),
        )


def render() -> str:
    """The table of the documentation."""
    sizes = [Size.of(pages, read_measured()) for pages in WANTED]
    return markdown_table(
        HEAD,
        [
            [str(value) for value in (one.pages, one.gpus, one.gpus_at_most, one.cores, one.memory_gib, one.shared_gib)]
            for one in sizes
        ],
    )


def main() -> None:
    """Print the table and write it down."""
    table = render()
    print(table)
    write_part(PAGE, COMMAND, table)


if __name__ == "__main__":
    main()
