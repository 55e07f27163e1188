"""Sizes of machines: what is written down is what the engine's figures give."""

from __future__ import annotations

from itertools import pairwise

from perf.figures.data import load
from perf.figures.engine import Workload, read_engine_figures
from perf.sizing import NAME, Size, to_figures


def test_the_sizes_that_are_written_down_are_what_the_figures_give() -> None:
    assert load(NAME) == to_figures(), "run python -m perf sizing --save"


def test_more_pages_never_take_less_of_anything() -> None:
    sizes = [Size.of(pages, read_engine_figures()) for pages in range(1, 200)]
    for less, more in pairwise(sizes):
        assert less.gpus <= more.gpus
        assert less.cores <= more.cores
        assert less.memory_gib <= more.memory_gib
        assert more.gpus_at_most <= more.gpus


def test_as_many_gpus_as_the_table_says_read_the_pages_that_were_asked_for() -> None:
    rate = read_engine_figures().rate_at[Workload.PAGES]
    for pages in (1, 7.8, 8, 100):
        size = Size.of(pages, read_engine_figures())
        assert (size.gpus - 1) * rate[32] < pages <= size.gpus * rate[32]
