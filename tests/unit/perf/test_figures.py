"""Figures as data: what a file must be, the tables made of it, and the pages that have them."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from perf.figures.data import FOLDER, Column, Figures, Interval, Table, Value, list_names, load, save
from perf.figures.engine import read_engine_figures
from perf.figures.new import keep, new_figures, span, summarize
from perf.figures.pages import list_pages, write_tables
from perf.figures.table import render

TABLE = Table(
    rows=("workload",),
    columns=(
        Column(title="image", value="workload"),
        Column(title="a second", value="rate", where={"system": "a"}),
        Column(title="a / b", value="ratio", format=".2f"),
    ),
)
FIGURES = Figures(
    question="How fast?",
    date=date(2026, 11, 30),
    machine="H100",
    versions={"vLLM": "0.24.0"},
    command=None,
    rounds=6,
    conditions=None,
    measurements=(
        {"workload": "line", "system": "a", "rate": 3},
        {"workload": "line", "system": "b", "rate": 2},
        {"workload": "line", "ratio": Interval(median=1.5, low=1.4, high=1.6)},
        {"workload": "page", "system": "a", "rate": None},
    ),
    tables={"rates": TABLE},
)
MARKED = "above\n<!-- figures: fast -->\nold\n<!-- end -->\nbelow\n"


def test_the_pages_have_what_the_figures_say() -> None:
    pages = list(list_pages())
    assert pages
    assert [page for page in pages if page.read_text("utf-8") != write_tables(page)] == [], "run python -m perf figures"


@pytest.mark.parametrize("name", list_names())
def test_every_file_can_be_read_and_each_of_its_tables_rendered(name: str) -> None:
    figures = load(name)
    assert figures.question.endswith("?")
    assert figures.tables
    for table in figures.tables.values():
        assert len(render(figures, table, "x.json").splitlines()) > 4


@pytest.mark.parametrize("name", list_names())
def test_a_file_is_written_as_it_is_saved(name: str, tmp_path: Path) -> None:
    assert save(name, load(name), tmp_path).read_text("utf-8") == (FOLDER / f"{name}.json").read_text("utf-8")


def test_a_row_is_made_of_the_records_that_share_its_keys() -> None:
    assert render(FIGURES, TABLE, "x.json").splitlines()[2:] == [
        "| line | 3 | 1.50 (1.40 to 1.60) |",
        "| page |  |  |",
        "",
        "[Data](x.json): H100, vLLM 0.24.0, 2026-11-30, 6 rounds.",
    ]


def test_two_values_for_one_cell_are_refused() -> None:
    loose = TABLE.model_copy(update={"columns": (Column(title="a second", value="rate"),)})
    with pytest.raises(ValueError, match="'a second': 2 values"):
        render(FIGURES, loose, "x.json")


def test_a_number_is_found_by_its_keys_or_named_as_missing() -> None:
    assert FIGURES.number("rate", workload="line", system="b") == 2
    assert FIGURES.number("ratio", workload="line") == 1.5
    for keys in ({"workload": "line"}, {"workload": "page"}, {"workload": "seal"}):
        with pytest.raises(KeyError, match="expected one number 'rate'"):
            FIGURES.number("rate", **keys)


def test_a_part_of_a_page_is_written_between_its_comments_alone(tmp_path: Path) -> None:
    save("fast", FIGURES, tmp_path)
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(MARKED, "utf-8")
    table = render(FIGURES, TABLE, "../fast.json")
    assert write_tables(page, tmp_path) == f"above\n<!-- figures: fast -->\n{table}\n<!-- end -->\nbelow\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MARKED.replace("fast", "slow"), "no figures 'slow'; there are fast"),
        (MARKED.replace("fast", "fast/other"), "no table 'other'; there are rates"),
        (MARKED.replace("<!-- end -->", ""), "expected <!-- end -->"),
    ],
)
def test_comments_that_name_nothing_are_refused_with_the_page(tmp_path: Path, text: str, message: str) -> None:
    save("fast", FIGURES, tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message) as raised:
        write_tables(page, tmp_path)
    assert str(page) in str(raised.value)


def test_a_figure_that_sizes_need_and_nobody_wrote_down_is_named(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py"))
    restart = load("engine-restart", tmp_path)
    save("engine-restart", restart.model_copy(update={"measurements": restart.measurements[1:]}), tmp_path)
    with pytest.raises(KeyError, match="read_again_seconds"):
        read_engine_figures(tmp_path)


def test_a_file_with_a_key_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = save("fast", FIGURES, tmp_path)
    path.write_text(path.read_text("utf-8").replace('"rounds"', '"round"'), "utf-8")
    with pytest.raises(ValueError, match=r"fast\.json"):
        load("fast", tmp_path)


def test_figures_of_a_run_say_when_on_what_and_by_which_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.orig_argv", ["/usr/bin/python3", "-m", "perf", "bench", "--rounds", "2"])
    records: list[dict[str, Value]] = [
        {"workload": "line", "system": "a", "rate": 1 / 3},
        {"workload": "line", "ratio": span([1.0, 3.0, 2.0])},
    ]
    figures = new_figures(
        question="How fast?", rounds=2, conditions=None, measurements=records, tables={"rates": TABLE}
    )
    keep("fast", figures, Console(), output=tmp_path / "kept.json")
    kept = load("kept", tmp_path)
    assert kept == figures
    assert kept.command == "python -m perf bench --rounds 2"
    assert "CPU cores" in str(kept.machine)
    assert "ocrvl" in kept.versions
    assert kept.number("rate", workload="line") == 0.3333
    assert kept.number("ratio", workload="line") == 2
    assert "0.3333" in capsys.readouterr().out


def test_an_interval_is_given_where_there_are_pairs_enough_for_one() -> None:
    assert summarize([1.0, 2.0, 4.0]) == 2.0
    assert summarize([1.0, 1.1, 1.2, 1.3, 1.4, 1.5]) == Interval(median=1.25, low=1.0, high=1.5)
