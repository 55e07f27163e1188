"""The drawn world: the same for the same seed, its answers as PaddleX reads them, nothing told that is not printed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from ocrvl.postprocess import load_paddle_functions
from ocrvl.wire import Task
from training.mini.samples import SLOTS, cell_classes, draw_for
from training.mini.score.measures import spots_of
from training.mini.shapes import PIXEL_GRID, SHAPES, Shape
from training.mini.vocabulary import CHARACTERS
from training.mini.world import blanks, tables
from training.mini.world.charts import Chart
from training.mini.world.draw import Drawing, Matter, World
from training.mini.world.fonts import FontsMissing, read_families
from training.mini.world.formulas import FormulaSource, render_formula
from training.mini.world.prose import ProseMissing, read_prose
from training.mini.world.sheet import Box, Sheet
from training.mini.world.spotting import places_of


def draw(matter: Matter, task: Task, seed: int, size: tuple[int, int] = (448, 252)) -> Drawing:
    return World(Random(seed), matter).draw(task, size, 300)


@pytest.mark.parametrize("task", list(Task))
def test_the_same_seed_draws_the_same_image_and_another_another(matter: Matter, task: Task) -> None:
    first, second, third = (draw(matter, task, seed) for seed in (1, 1, 2))
    assert first.answer == second.answer
    assert np.array_equal(first.image, second.image)
    assert not np.array_equal(first.image, third.image)
    assert first.image.shape == (252, 448, 3)


@pytest.mark.parametrize("seed", range(12))
def test_the_placed_characters_of_a_block_spell_its_answer(matter: Matter, seed: int) -> None:
    drawing = draw(matter, Task.OCR, seed)
    assert drawing.characters is not None
    spelled = "".join(placed.character for placed in drawing.characters)
    assert spelled.replace(" ", "") == drawing.answer.replace("\n", "").replace(" ", "")
    assert set(drawing.answer) <= set(CHARACTERS)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_placed_lies_in_the_image(matter: Matter, seed: int) -> None:
    for task in Task:
        drawing = draw(matter, task, seed)
        for placed in drawing.characters or ():
            assert -1 <= placed.x <= 449, (task, placed)
            assert -1 <= placed.y <= 253, (task, placed)


@pytest.mark.parametrize("seed", range(8))
def test_paddlex_makes_a_table_of_the_printed_cells(matter: Matter, seed: int) -> None:
    drawing = draw(matter, Task.TABLE, seed)
    html = load_paddle_functions().convert_otsl_to_html(drawing.answer)
    assert html.count("<tr>") == drawing.answer.count("<nl>")
    assert html.count("<td") + html.count("<th") == drawing.answer.count("<fcel>") + drawing.answer.count("<ecel>")


def test_spans_become_otsl() -> None:
    grid: tables.Grid = [
        [tables.Cell("a", across=2), "<lcel>"],
        [tables.Cell("b", down=2), tables.Cell("")],
        ["<ucel>", tables.Cell("c")],
    ]
    otsl = tables.as_otsl(grid)
    assert otsl == "<fcel>a<lcel><nl><fcel>b<ecel><nl><ucel><fcel>c<nl>"
    html = load_paddle_functions().convert_otsl_to_html(otsl)
    assert 'colspan="2"' in html
    assert 'rowspan="2"' in html


@pytest.mark.parametrize("seed", range(6))
def test_spotted_lines_lie_where_they_are_printed(matter: Matter, seed: int) -> None:
    drawing = World(Random(seed), matter, wear=0).draw(Task.SPOTTING, (448, 252), 300)
    paper = np.median(drawing.image.astype(int), axis=(0, 1))
    ink = np.abs(drawing.image.astype(int) - paper).sum(2) > 60
    spots = spots_of(drawing.answer)
    assert spots
    for text, (left, top, right, bottom) in spots:
        box = ink[round(top * 0.252) : round(bottom * 0.252) + 1, round(left * 0.448) : round(right * 0.448) + 1]
        assert text
        assert box.any()
        ink[round(top * 0.252) - 1 : round(bottom * 0.252) + 2, round(left * 0.448) - 1 : round(right * 0.448) + 2] = (
            False
        )
    assert not ink.any()


def test_places_are_thousandths_from_the_top_left_clockwise() -> None:
    tokens = places_of(Box(10, 20, 50, 40), 100, 200)
    assert tokens == "".join(f"<|LOC_{place}|>" for place in (100, 100, 500, 100, 500, 200, 100, 200))


def test_a_chart_is_a_table_with_bars_between_its_cells() -> None:
    assert Chart("Year", ["1999", "2000"], ["A", "B"], [[1, 2], [3, 4]]).as_table() == (
        "Year | A | B\n1999 | 1 | 3\n2000 | 2 | 4"
    )


@pytest.mark.parametrize("seed", range(10))
def test_mathtext_draws_every_formula(seed: int) -> None:
    formula = FormulaSource(Random(seed)).formula()
    ink = render_formula(formula, "cm", 20)
    assert ink is not None, formula
    assert np.asarray(ink).any()


def test_what_is_no_text_has_an_empty_answer(matter: Matter) -> None:
    sheet = Sheet(80, 60)
    assert blanks.print_nothing(sheet, Random(3)) == ""
    drawing = World(Random(0), matter).draw_nothing((80, 60))
    assert (drawing.answer, drawing.characters) == ("", ())


@pytest.mark.parametrize("shape", [SHAPES[0], Shape(2, 9), Shape(9, 11), Shape(20, 16)])
def test_training_images_are_resized_to_their_shape(matter: Matter, shape: Shape) -> None:
    world = World(Random(7), matter)
    for _ in range(5):
        drawing = draw_for(shape, world)
        height, width, _ = drawing.image.shape
        assert PIXEL_GRID.resized_size(width, height) == (28 * shape.columns, 28 * shape.rows)
        classes = cell_classes(drawing, shape)
        assert classes.shape == (shape.cells, *SLOTS)
        assert (classes < 0).all() if drawing.characters is None else (classes >= 0).all()


def test_what_was_not_gathered_is_named_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(FontsMissing, match="training mini gather"):
        read_families(tmp_path, held_out=False)
    with pytest.raises(ProseMissing, match="training mini gather"):
        read_prose(tmp_path / "prose.txt.xz", held_out=False)


def test_fonts_and_prose_are_held_out(world_folder: Path) -> None:
    seen, unseen = Matter.read(world_folder), Matter.read(world_folder, held_out=True)
    assert [family.fonts[0].family for family in seen.families] == ["DejaVuSans"]
    assert [family.fonts[0].family for family in unseen.families] == ["LiberationSerif-Regular"]
