"""Tables of figures in the documentation: between `<!-- figures: NAME -->` and `<!-- end -->`.

NAME is a file of this folder without its `.json`; its first table is written, or with `NAME/TABLE` the one of that
name. The comments may stand in any Markdown file of the project and be moved freely; everything between them is
written anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from perf.figures.data import FOLDER, Figures, load
from perf.figures.table import render

ROOT: Final = FOLDER.parent.parent
_PART: Final = re.compile(
    r"(?P<begin>^<!-- figures: (?P<name>\S+) -->\n).*?(?P<end>^<!-- end -->$)", re.DOTALL | re.MULTILINE
)
_BEGIN: Final = re.compile(r"^<!-- figures: ", re.MULTILINE)


def list_pages(root: Path = ROOT) -> Iterator[Path]:
    """Every Markdown file of the project that has such comments."""
    for pattern in ("*.md", "docs/**/*.md", "perf/**/*.md", "stress/**/*.md"):
        for page in sorted(root.glob(pattern)):
            if _BEGIN.search(page.read_text("utf-8")):
                yield page


def write_tables(page: Path, folder: Path = FOLDER) -> str:
    """The page's text with its tables as the figures have them. Raises `ValueError` that names page and figures."""
    text = page.read_text("utf-8")
    written, count = _PART.subn(
        lambda part: f"{part['begin']}{_render(part['name'], page, folder)}\n{part['end']}", text
    )
    if count != len(_BEGIN.findall(text)):
        raise ValueError(f"{page}: expected <!-- end --> on a line of its own after each <!-- figures: NAME -->")
    return written


def _render(reference: str, page: Path, folder: Path) -> str:
    name, _, table = reference.partition("/")
    try:
        figures = load(name, folder)
        chosen = _choose(figures, table)
        link = Path(os.path.relpath(folder / f"{name}.json", page.parent)).as_posix()
        return render(figures, figures.tables[chosen], link)
    except ValueError as error:
        raise ValueError(f"{page}: {reference}: {error}") from None


def _choose(figures: Figures, table: str) -> str:
    if table and table not in figures.tables:
        raise ValueError(f"no table {table!r}; there are {', '.join(figures.tables) or 'none'}")
    if not figures.tables:
        raise ValueError("the figures have no table")
    return table or next(iter(figures.tables))
