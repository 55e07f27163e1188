"""Prose of Debian's documentation, one block a line, split by document into what trains and what only scores."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from training.mini.gather.debian import unpacked
from training.mini.vocabulary import CHARACTERS

LANGUAGES = ("en", "de", "fr", "es", "it")

SOURCES: tuple[tuple[str, str, str], ...] = (
    *(
        (f"debian-reference-{language}", language, f"usr/share/debian-reference/*.{language}.html")
        for language in LANGUAGES
    ),
    *(
        ("debian-handbook", locale[:2], f"usr/share/doc/debian-handbook/html/{locale}/*.html")
        for locale in ("en-US", "de-DE", "fr-FR", "es-ES", "it-IT")
    ),
    *(
        ("installation-guide-amd64", language, f"usr/share/doc/installation-guide-amd64/{language}/*.html")
        for language in LANGUAGES
    ),
    *(
        (
            f"debian-edu-doc-{language}",
            language,
            f"usr/share/doc/debian-edu-doc-{language}/debian-edu-bookworm-manual.html",
        )
        for language in LANGUAGES
    ),
    ("developers-reference", "en", "usr/share/developers-reference/*.html"),
    ("developers-reference-de", "de", "usr/share/developers-reference/de/*.html"),
    ("developers-reference-fr", "fr", "usr/share/developers-reference/fr/*.html"),
    ("debmake-doc", "en", "usr/share/doc/debmake-doc/html/*.en.html"),
    ("maint-guide", "en", "usr/share/doc/maint-guide/html/*.en.html"),
    ("maint-guide-es", "es", "usr/share/doc/maint-guide-es/html/*.es.html"),
    ("maint-guide-it", "it", "usr/share/doc/maint-guide-it/html/*.it.html"),
    ("debian-policy", "en", "usr/share/doc/debian-policy/policy.html/*.html"),
    *(("debian-history", language, f"usr/share/doc/debian-history/docs/*.{language}.html") for language in LANGUAGES),
    ("debian-faq", "en", "usr/share/doc/debian/FAQ/*.en.html"),
    ("debian-faq-de", "de", "usr/share/doc/debian/FAQ/*.de.html"),
    ("debian-faq-it", "it", "usr/share/doc/debian/FAQ/*.it.html"),
)
"""Package, language and files. Sources of one document in several languages are of one split."""

HELD_OUT_DOCUMENTS = ("debian-history", "debian-faq")
"""Documents that training never sees, in any language; the score reads their PDF files as well."""

_KEPT = frozenset(CHARACTERS)


class _Blocks(HTMLParser):
    """Texts of paragraphs, items, titles, cells and lines of programs."""

    _BLOCKS = frozenset({"p", "li", "h1", "h2", "h3", "h4", "dt", "dd", "td", "th", "pre", "div"})

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = []
        self._text: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's
        """A block ends where another begins."""
        self._skipped += tag in ("script", "style", "head")
        if tag in self._BLOCKS:
            self._end()

    def handle_endtag(self, tag: str) -> None:
        """A block ends."""
        self._skipped -= tag in ("script", "style", "head")
        if tag == "pre":
            self.blocks += "".join(self._text).split("\n")
            self._text = []
        elif tag in self._BLOCKS:
            self._end()

    def handle_data(self, data: str) -> None:
        """Text of the block."""
        if self._skipped <= 0:
            self._text.append(data)

    def _end(self) -> None:
        self.blocks.append("".join(self._text))
        self._text = []


def blocks_of(html: str) -> Iterator[str]:
    """The blocks of a page, spaces joined, without those that hold what the world has no characters for."""
    parser = _Blocks()
    parser.feed(html)
    parser.close()
    for block in parser.blocks:
        text = " ".join(re.sub("[\u00a0\u202f\u200b\u00ad]", " ", block).split())
        if 2 <= len(text) <= 2000 and _KEPT.issuperset(text):
            yield text


def is_held_out(package: str) -> bool:
    """Whether a package's text only scores."""
    return package.startswith(HELD_OUT_DOCUMENTS)


def gather_prose(path: Path) -> int:
    """Write the prose, compressed; how many blocks. Needs Debian's registry.

    Each line is language, `held-out` or `training`, and a block, with tabs between them.
    """
    seen: set[str] = set()
    lines = []
    with unpacked(sorted({package for package, _, _ in SOURCES})) as packages:
        for package, language, pattern in SOURCES:
            split = "held-out" if is_held_out(package) else "training"
            for file in sorted((packages / package).glob(pattern)):
                fresh = [block for block in blocks_of(file.read_text("utf-8", "replace")) if block not in seen]
                seen.update(fresh)
                lines += [f"{language}\t{split}\t{block}" for block in fresh]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress("\n".join(lines).encode()))
    return len(lines)
