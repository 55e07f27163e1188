"""Standard input of `ocrvl read`: images that follow one another are all read, whole files stay whole."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from ocrvl_cli.reading.concatenated import split_images
from ocrvl_cli.reading.sources import Input, SkippedInput, find_inputs
from ocrvl_cli.reading.stdin import read_stdin


def draw(format_name: str, shade: int, **options: object) -> bytes:
    file = io.BytesIO()
    # noise, so that compressed bytes of every kind come
    Image.effect_noise((61, 43), shade).convert("RGB").save(file, format_name, **options)
    return file.getvalue()


KINDS: list[Callable[[int], bytes]] = [
    lambda shade: draw("PNG", shade),
    lambda shade: draw("JPEG", shade, quality=95),
    lambda shade: draw("JPEG", shade, progressive=True, restart_marker_blocks=2, comment=b"\xff\xd8\xff\xd9"),
    lambda shade: draw("BMP", shade),
    lambda shade: draw("WEBP", shade, lossless=True),
]


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_images_of_a_kind_are_split_where_one_ends(kind: int) -> None:
    images = [KINDS[kind](shade) for shade in (10, 60, 110)]
    assert split_images(b"".join(images)) == images


def test_images_of_all_kinds_may_follow_one_another() -> None:
    images = [draw_kind(50) for draw_kind in KINDS]
    assert split_images(b"".join(images)) == images


@pytest.mark.parametrize("more", [b"\n", b"a trailer of a camera", b"\x00" * 64])
def test_what_is_no_image_stays_with_the_one_before(more: bytes) -> None:
    for data in (draw_kind(50) + more for draw_kind in KINDS):
        assert split_images(data) == [data]


def test_a_camera_s_preview_behind_the_image_is_a_part_of_it() -> None:
    pair = io.BytesIO()
    first, second = (Image.effect_noise((32, 32), shade).convert("RGB") for shade in (20, 90))
    first.save(pair, "MPO", save_all=True, append_images=[second])
    assert split_images(pair.getvalue()) == [pair.getvalue()]


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_a_stream_that_was_cut_off_anywhere_loses_nothing(kind: int) -> None:
    data = KINDS[kind](40) + KINDS[kind](80)
    for end in range(0, len(data), 97):
        assert b"".join(split_images(data[:end])) == data[:end]


@pytest.mark.parametrize("data", [b"%PDF-1.7 ", b"II*\0", b"BM and other words", b"", b"iVBORw0KGgo="])
def test_anything_else_is_one_piece(data: bytes) -> None:
    assert split_images(data) == [data]


class Pipe(io.BytesIO):
    def __init__(self, data: bytes, *, is_terminal: bool = False) -> None:
        super().__init__(data)
        self.buffer = self
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


def found(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> list[Input | SkippedInput]:
    monkeypatch.setattr("sys.stdin", pipe)
    return list(read_stdin(find_inputs(["-"])))


def test_standard_input_is_one_input_for_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [draw("PNG", shade) for shade in (10, 60, 110)]
    inputs = found(Pipe(b"".join(pages)), monkeypatch)
    assert [one.load(1) for one in inputs if isinstance(one, Input)] == pages
    assert [one.name for one in inputs] == [f"standard input, image {number}" for number in (1, 2, 3)]
    assert len({one.key for one in inputs if isinstance(one, Input)}) == 3
    (alone,) = found(Pipe(pages[0]), monkeypatch)
    assert (alone.name, alone.load(1) if isinstance(alone, Input) else b"") == ("standard input", pages[0])


@pytest.mark.parametrize(("pipe", "problem"), [(Pipe(b""), "it is empty"), (Pipe(b"", is_terminal=True), "a terminal")])
def test_standard_input_without_anything_is_a_skipped_input(
    pipe: Pipe, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (skipped,) = found(pipe, monkeypatch)
    assert isinstance(skipped, SkippedInput)
    assert problem in skipped.reason
