"""What is gathered: blocks of pages, fonts cut down, none that lacks letters."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from training.mini.gather.font_packages import FONT_PACKAGES, HELD_OUT_FAMILIES, UNFIT
from training.mini.gather.fonts import cut_down, examine
from training.mini.gather.prose import HELD_OUT_DOCUMENTS, SOURCES, blocks_of, is_held_out
from training.nano.fonts import WORLD_FONTS, find_font

HTML = """<html><head><style>p {}</style><title>no</title></head><body><h1>A title</h1><p>Some <b>bold</b>
text.</p><pre>first line
second line</pre><p>日本</p></body></html>"""


def test_blocks_are_paragraphs_titles_and_lines_of_programs() -> None:
    assert list(blocks_of(HTML)) == ["A title", "Some bold text.", "first line", "second line"]


def test_documents_are_held_out_in_every_language() -> None:
    held_out = {package for package, _, _ in SOURCES if is_held_out(package)}
    assert all(any(package.startswith(name) for package in held_out) for name in HELD_OUT_DOCUMENTS)
    assert {language for package, language, _ in SOURCES if not is_held_out(package)} == {"en", "de", "fr", "es", "it"}


def test_a_font_is_cut_down_to_the_worlds_characters() -> None:
    path = find_font(WORLD_FONTS[0])
    assert path is not None
    found = examine(path, "fonts-dejavu-core")
    assert found is not None
    assert (found.family, found.bold, found.italic) == ("DejaVu Sans", False, False)
    data = cut_down(path)
    assert data is not None
    assert len(data) < 120_000
    assert ord("ß") in TTFont(io.BytesIO(data)).getBestCmap()


def test_what_is_no_font_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.ttf"
    path.write_bytes(b"\0" * 100)
    assert examine(path, "") is None


@pytest.mark.parametrize("name", sorted(HELD_OUT_FAMILIES))
def test_a_held_out_family_is_one_that_would_be_drawn(name: str) -> None:
    assert not UNFIT.search(name)


def test_packages_are_named_once() -> None:
    assert len(set(FONT_PACKAGES)) == len(FONT_PACKAGES) > 90
    assert len(HELD_OUT_FAMILIES) == 20
