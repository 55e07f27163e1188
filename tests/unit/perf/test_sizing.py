"""The sizing table: what the documentation has is what the figures give."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from perf.measured import PERFORMANCE, Work, read_measured
from perf.sizing import COMMAND, PAGE, Size, render
from tools.docs import read_part, write_part


def test_the_documented_table_is_what_the_figures_give() -> None:
    assert read_part(PAGE, COMMAND) == render(), f"run {COMMAND}"


def test_more_pages_never_take_less_of_anything() -> None:
    sizes = [Size.of(pages, read_measured()) for pages in range(1, 200)]
    for less, more in pairwise(sizes):
        assert less.gpus <= more.gpus
        assert less.cores <= more.cores
        assert less.memory_gib <= more.memory_gib
        assert more.gpus_at_most <= more.gpus


def test_as_many_gpus_as_the_table_says_read_what_was_wanted() -> None:
    rate = read_measured().rate_at[Work.PAGES]
    for pages in (1, 7.8, 8, 100):
        size = Size.of(pages, read_measured())
        assert (size.gpus - 1) * rate[32] < pages <= size.gpus * rate[32]


def test_a_figure_that_is_no_longer_written_down_is_named(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PERFORMANCE.read_text("utf-8").replace("answered again after", "came back after"), "utf-8")
    with pytest.raises(ValueError, match="answered again after"):
        read_measured(page)


def test_a_part_of_a_page_is_written_between_its_comments_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- made by x -->\nold\n<!-- end -->\nbelow\n", "utf-8")
    write_part(page, "x", "new")
    assert page.read_text("utf-8") == "above\n<!-- made by x -->\nnew\n<!-- end -->\nbelow\n"
    with pytest.raises(ValueError, match="made by y"):
        read_part(page, "y")
