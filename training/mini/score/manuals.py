"""Debian's PDF manuals, read by a server's `document` and compared with their own text layer."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pypdfium2

from training.common.measure import character_score
from training.mini.gather.debian import unpacked

MANUALS: Final = (
    ("debian-history", "usr/share/doc/debian-history/docs/project-history.en.pdf", 15),
    ("debian-history", "usr/share/doc/debian-history/docs/project-history.fr.pdf", 5),
    ("debian-history", "usr/share/doc/debian-history/docs/project-history.de.pdf", 5),
    ("debian-faq", "usr/share/doc/debian/FAQ/debian-faq.en.pdf.gz", 20),
    ("debian-policy", "usr/share/doc/debian-policy/fhs/fhs-3.0.pdf.gz", 5),
)
"""Package, file and how many pages: 50 of documents that are not among the prose of training."""

_FIRST_PAGE: Final = 3
"""Titles and lists of contents stand before it."""

ReadPage = Callable[[bytes], str]
"""A PDF file of one page to its Markdown."""


@dataclass(frozen=True)
class PageScore:
    """How much of a page's characters was right."""

    manual: str
    page: int
    characters: int
    right: float


def score_manuals(read: ReadPage, share: float = 1.0) -> list[PageScore]:
    """Read pages of each manual; needs Debian's registry, or its mirror, for the packages."""
    scores = []
    for name, page, file, truth in _pages(share):
        text = plain(read(file))
        scores.append(PageScore(name, page, len(truth), character_score([text], [truth])))
    return scores


def _pages(share: float) -> Iterator[tuple[str, int, bytes, str]]:
    """Manual, page, the page as a file of its own, and its text layer."""
    with unpacked(sorted({package for package, _, _ in MANUALS})) as packages:
        for package, path, count in MANUALS:
            data = (packages / package / path).read_bytes()
            document = pypdfium2.PdfDocument(gzip.decompress(data) if path.endswith(".gz") else data)
            last = min(len(document), _FIRST_PAGE + max(1, round(count * share)))
            for number in range(_FIRST_PAGE, last):
                truth = plain(document[number].get_textpage().get_text_range())
                yield path.rsplit("/", 1)[-1], number + 1, _single(document, number), truth


def _single(document: pypdfium2.PdfDocument, number: int) -> bytes:
    file = io.BytesIO()
    one = pypdfium2.PdfDocument.new()
    one.import_pages(document, [number])
    one.save(file)
    return file.getvalue()


def plain(text: str) -> str:
    r"""A text without what is markup, and with one space for each gap: both sides are compared so.

    >>> plain("## A *title*\n\n<b>bold</b>  text\u00ad")
    'A title bold text'
    """
    text = re.sub(r"<[^<>]*>|!\[[^\]]*\]\([^)]*\)", " ", text)
    text = re.sub(r"\\(?=[^\w\s])|[\u00ad\u200b\ufffe]", "", text)
    text = re.sub(r"^[ \t]*(#{1,6}|[-*•])[ \t]", "", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"[*`|]", "", text).split())
