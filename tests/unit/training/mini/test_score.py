"""The score: right answers get everything, wrong ones what they are worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocrvl.wire import Task
from training.mini.score.card import format_drawn, format_manuals, write_section
from training.mini.score.drawn import SCORE_SETS, Result, draw_set, score_drawn
from training.mini.score.manuals import MANUALS, PageScore
from training.mini.score.measures import measure, overlap
from training.mini.score.teds import teds

TABLE = "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (TABLE, 1.0),
        (TABLE.replace("<td>d</td>", ""), 6 / 7),
        (TABLE.replace(">d<", ">x<"), 6 / 7),
        (TABLE.replace("<td>a</td><td>b</td>", '<td colspan="2">a</td>'), 5 / 7),
        ("", 1 / 7),
    ],
)
def test_teds_counts_nodes_and_texts(read: str, expected: float) -> None:
    assert teds(read, TABLE) == pytest.approx(expected)


def test_each_task_is_measured_in_its_own_way() -> None:
    assert measure(Task.FORMULA, [r"\[ a+b \]", "x"], [r"\[ a + b \]", "y"]) == 0.5
    assert measure(Task.OCR, ["abcd"], ["abcx"]) == 0.75
    assert measure(Task.TABLE, ["<fcel>a<nl>"], ["<fcel>a<nl>"]) == 1.0


def test_spotting_needs_place_and_text() -> None:
    def line(text: str, left: int) -> str:
        corners = (left, 0, left + 100, 0, left + 100, 50, left, 50)
        return text + "".join(f"<|LOC_{place}|>" for place in corners)

    truth = [line("Total amount", 0) + line("Cash", 500)]
    assert measure(Task.SPOTTING, truth, truth) == 1.0
    assert measure(Task.SPOTTING, [line("Total amount", 20)], truth) == pytest.approx(2 / 3)
    assert measure(Task.SPOTTING, [line("Total amount", 200)], truth) == 0.0
    assert measure(Task.SPOTTING, [line("Something else", 0)], truth) == 0.0


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0.0


def test_a_perfect_reader_scores_full_on_every_drawn_set(world_folder: Path) -> None:
    truths = {chosen: [drawing.answer for drawing in draw_set(chosen, world_folder, 0.01, 0)] for chosen in SCORE_SETS}
    left = iter(SCORE_SETS)
    results = score_drawn(lambda _task, _images: truths[next(left)], world_folder, 0.01)
    assert {result.right for result in results} == {1.0}


def test_the_card_gets_the_table_and_keeps_the_rest(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(
        "# Card\n<!-- score: written by `python -m training mini score` -->\nold\n<!-- end of score -->\nafter\n"
    )
    table = format_drawn({"mini": [Result(SCORE_SETS[0], 0.5, ())], "nano": [Result(SCORE_SETS[0], 0.25, ())]})
    write_section(card, "score", table)
    assert "| lines | 100 | 50.00% | 25.00% | 98% |" in card.read_text()
    assert card.read_text().endswith("after\n")
    with pytest.raises(ValueError, match="no lines"):
        write_section(card, "manuals", table)


def test_manuals_are_weighed_by_their_characters() -> None:
    table = format_manuals([PageScore("a.pdf", 1, 100, 1.0), PageScore("a.pdf", 2, 300, 0.5)])
    assert "| all | 2 | 400 | 62.50% |" in table
    assert sum(pages for _, _, pages in MANUALS) == 50
