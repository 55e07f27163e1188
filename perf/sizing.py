"""`python -m perf sizing`: GPUs, cores and memory for so many pages a second, from measured figures."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from perf.figures.data import Column, Figures, Table, save
from perf.figures.engine import EngineFigures, Workload, read_engine_figures
from perf.figures.table import render

NAME: Final = "sizing"
"""Of the file of figures."""

PAGES_PER_SECOND: Final = (1, 5, 10, 25, 50, 100, 250)
_TITLES: Final = {
    "pages": "pages a second",
    "gpus": "GPUs, at ease",
    "gpus_at_most": "GPUs, at most",
    "cores": "cores",
    "memory_gib": "memory GiB",
    "shared_gib": "shared memory GiB",
}
_TABLE: Final = Table(
    rows=("pages",), columns=tuple(Column(title=title, value=field) for field, title in _TITLES.items())
)

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
    def of(cls, pages: float, figures: EngineFigures) -> Size:
        """The arithmetic, from one GPU's figures; memory is for one engine, times the GPUs."""
        rates = figures.rate_at[Workload.PAGES]
        gpus = math.ceil(pages / rates[AT_EASE])
        front_ms = figures.page_preprocess_ms + figures.front_end_ms + figures.triton_ms
        # the engine's process is busy whatever it reads: of a receipt's time and rate follows how many cores that is
        engine_cores = math.ceil(figures.engine_ms * figures.rate_at[Workload.RECEIPTS][AT_MOST] / 1000)
        shared = 2 * IN_FLIGHT * PATCHES_MIB / 1024
        memory = figures.server_gib + WEIGHTS_GIB + DOCUMENTS_GIB + QUEUE * QUEUED_MIB / 1024 + shared
        return cls(
            pages=pages,
            gpus=gpus,
            gpus_at_most=math.ceil(pages / rates[AT_MOST]),
            cores=math.ceil(pages * front_ms / 1000 / BUSY) + engine_cores * gpus,
            memory_gib=gpus * math.ceil(memory),
            shared_gib=gpus * math.ceil(shared),
        )


def to_figures() -> Figures:
    """The file of figures, which the documentation's table is made of."""
    figures = read_engine_figures()
    return Figures(
        question="Which machines does it take to read so many pages a second?",
        date=None,
        machine=None,
        versions={},
        command="python -m perf sizing --save",
        rounds=None,
        conditions=(
            f"Computed from the figures of one H100, for pages of a million pixels and 1,000 tokens. At ease is "
            f"{AT_EASE} in flight for each engine, at most is {AT_MOST}."
        ),
        measurements=tuple(dataclasses.asdict(Size.of(pages, figures)) for pages in PAGES_PER_SECOND),
        tables={"sizes": _TABLE},
    )


def main(
    save_figures: Annotated[bool, typer.Option("--save", help="Write perf/figures/sizing.json.")] = False,
) -> None:
    """Print how many GPUs, cores and GiB it takes to read so many pages a second."""
    figures = to_figures()
    print(render(figures, _TABLE, f"{NAME}.json"))
    if save_figures:
        save(NAME, figures)


if __name__ == "__main__":
    typer.run(main)
