"""A small world: two families of fonts that are installed, a few sentences of three languages."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from training.mini.vocabulary import CHARACTERS, LETTERS
from training.mini.world.draw import Matter
from training.mini.world.fonts import family_of
from training.nano.fonts import WORLD_FONTS, find_font

PROSE = {
    "en": ["The kernel reads the table of partitions.", "Install a package, or 12 of them; see section 4.2 (page 17)."],
    "de": ["Größere Änderungen prüfen wir später."],
    "fr": ["L’été dernier, où étiez-vous ?"],  # noqa: RUF001 - as it is printed
}


def installed(*names: str) -> list[Path]:
    return [path for font in WORLD_FONTS if font.file in names and (path := find_font(font))]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny models gain nothing by more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def matter() -> Matter:
    files = installed("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"), installed("LiberationSerif-Regular.ttf")
    return Matter([family_of(paths, LETTERS + " \n“”’–") for paths in files], PROSE)  # noqa: RUF001


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `gather` writes, of installed fonts."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "fonts").mkdir()
    entries = []
    for path in installed("DejaVuSans.ttf", "LiberationSerif-Regular.ttf"):
        (folder / "fonts" / path.name).symlink_to(path)
        entries.append(
            {
                "file": path.name,
                "package": "",
                "family": path.stem,
                "bold": False,
                "italic": False,
                "held_out": "Serif" in path.stem,
                "characters": CHARACTERS,
            }
        )
    (folder / "fonts/fonts.json").write_text(json.dumps(entries), "utf-8")
    lines = [
        f"{language}\t{split}\t{block}"
        for language, blocks in PROSE.items()
        for block in blocks
        for split in ("training", "held-out")
    ]
    (folder / "prose.txt.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    return folder
