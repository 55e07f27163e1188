"""The drawn world: the same for the same seed, its truth and its places right, everything inside the image."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from training.common.measure import character_score, edit_distance
from training.nano.fonts import WORLD_FONTS, FontFile, FontMissing, load_face
from training.nano.phrases import CLOSINGS, PRODUCTS, SHOPS, STREETS, SUMS
from training.nano.samples import SLOTS, cell_classes, draw_for
from training.nano.score import Score, format_table, score, write_card
from training.nano.shapes import PIXEL_GRID, SHAPES, Shape
from training.nano.texts import Split, WordsMissing, read_words
from training.nano.vocabulary import CHARACTERS
from training.nano.world import Drawing, Look, World, draw_rows


def drawings(seed: int, wear: float = 1.0) -> list[Drawing]:
    world = World(Random(seed), look=Look(wear=wear))
    return [world.line(), world.receipt(), world.receipt(lines=8), world.paragraph((300, 150)), world.line("Total 5")]


def test_the_same_seed_draws_the_same_images() -> None:
    for first, second in zip(drawings(1), drawings(1), strict=True):
        assert first.text == second.text
        assert first.image.tobytes() == second.image.tobytes()
    assert drawings(1)[0].text != drawings(2)[0].text


@pytest.mark.parametrize("seed", range(20))
def test_the_placed_characters_spell_the_text_and_lie_in_the_image(seed: int) -> None:
    for drawing in drawings(seed):
        assert "".join(placed.character for placed in drawing.characters) == drawing.text.replace("\n", "")
        assert set(drawing.text) <= set(CHARACTERS)
        assert all(0 <= placed.x <= drawing.image.width for placed in drawing.characters)
        assert all(0 <= placed.y <= drawing.image.height for placed in drawing.characters)


@pytest.mark.parametrize("font", WORLD_FONTS, ids=lambda font: font.file)
def test_every_character_has_ink_at_its_centre_and_a_space_has_none(font: FontFile) -> None:
    drawing = draw_rows(["W H 8 Wiim", "Total 12.50"], font, 20)
    ink = np.asarray(drawing.image.convert("L")) < 128
    for placed in drawing.characters:
        x, y = round(placed.x), round(placed.y)
        column = ink[y - 9 : y + 12, x - 1 : x + 2]
        assert column.any() == (placed.character != " "), placed
    face = load_face(font, 20)
    assert face.width("Total 12.50") == pytest.approx(face.font.getlength("Total 12.50"), abs=1)


def test_built_in_phrases_are_single_lines() -> None:
    for phrase in (*SHOPS, *PRODUCTS, *SUMS, *CLOSINGS, *STREETS):
        assert phrase == " ".join(phrase.split()) != ""


def test_nothing_is_printed_across_the_edge() -> None:
    for seed in range(30):
        for drawing in drawings(seed, wear=0):
            gray = np.asarray(drawing.image.convert("L")).astype(int)
            paper = int(np.median(gray))
            assert abs(gray[:, [0, -1]] - paper).max() < 60, (seed, drawing.text)


def test_a_receipt_has_the_rows_that_were_asked_for() -> None:
    world = World(Random(5))
    for lines in range(1, 9):
        assert len(world.receipt(lines=lines).text.split("\n")) == lines


def test_a_given_text_is_printed_as_it_is() -> None:
    assert World(Random(0)).line("2 x Café £4.50").text == "2 x Café £4.50"
    assert draw_rows(["one", "two"], WORLD_FONTS[0], 18).text == "one\ntwo"


def test_a_blank_image_has_no_text() -> None:
    blank = World(Random(0)).blank((80, 40))
    assert (blank.text, blank.characters, blank.image.size) == ("", (), (80, 40))


def test_an_unworn_image_has_few_colours_and_png_keeps_it() -> None:
    drawing = World(Random(0), look=Look(wear=0)).line("plain")
    assert Image.open(io.BytesIO(drawing.png())).convert("RGB").tobytes() == drawing.image.tobytes()
    assert len(drawing.image.getcolors() or []) <= 256


@pytest.mark.parametrize("shape", [SHAPES[0], Shape(2, 9), Shape(6, 10), SHAPES[-1]])
def test_training_images_are_resized_to_their_shape_and_fit_it(shape: Shape) -> None:
    world = World(Random(7))
    for _ in range(10):
        drawing = draw_for(shape, world)
        assert PIXEL_GRID.resized_size(*drawing.image.size) == (28 * shape.columns, 28 * shape.rows)
        assert len(drawing.text) <= shape.capacity
        classes = cell_classes(drawing, shape)
        assert classes.shape == (shape.cells, SLOTS)
        told = sorted(CHARACTERS[value - 1] for value in classes[classes > 0])
        assert len(told) >= 0.9 * len(drawing.characters)
        assert not set(told) - set(drawing.text)


def test_held_out_words_are_not_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("\n".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(400)), "utf-8")
    training, held_out = read_words(Split.TRAINING, path), read_words(Split.HELD_OUT, path)
    assert len(training) + len(held_out) == 400
    assert 5 <= len(held_out) <= 50
    assert not set(training) & set(held_out)


def test_what_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(FontMissing, match="apt-get install fonts-liberation"):
        load_face(FontFile("Nowhere.ttf", "fonts-liberation"), 20)
    with pytest.raises(WordsMissing, match="wamerican"):
        read_words(Split.TRAINING, tmp_path / "words")


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("same", "same", 0), ("a😀", "a", 1)],
)
def test_edit_distance(first: str, second: str, distance: int) -> None:
    assert edit_distance(first, second) == edit_distance(second, first) == distance


def test_a_score_counts_characters_and_never_goes_below_nothing() -> None:
    assert character_score(["abcd", "x" * 50], ["abcd", "yy"]) == pytest.approx(4 / 6)


def test_a_perfect_reader_scores_full_and_a_mute_one_nothing(tmp_path: Path) -> None:
    truths: dict[bytes, str] = {}
    original = Drawing.png

    def remembered(drawing: Drawing) -> bytes:
        data = original(drawing)
        truths[data] = drawing.text
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawing, "png", remembered)
        perfect = score(lambda images: [truths[data] for data in images], 0.02, words=["held", "out"])
    mute = score(lambda images: [""] * len(images), 0.02, words=["held", "out"])
    assert {result.right for result in perfect if result.images} == {1.0}
    assert {result.right for result in mute if result.images} == {0.0}

    card = tmp_path / "README.md"
    card.write_text("# Card\n\n<!-- score: written by `python -m training nano score --write-card` -->\nold\n")
    with pytest.raises(ValueError, match="no lines"):
        write_card(card, perfect)
    card.write_text(card.read_text() + "<!-- end of score -->\nafter\n")
    write_card(card, perfect)
    assert format_table(perfect) in card.read_text()
    assert "old" not in card.read_text()
    assert card.read_text().endswith("after\n")


def test_the_target_is_that_of_the_kind() -> None:
    def scored(kind: str, right: float) -> Score:
        return Score("its world", kind, 1, 1, right, 0.0, ())

    assert scored("receipts", 0.93).reaches_target
    assert not scored("lines", 0.93).reaches_target
