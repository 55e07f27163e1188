r"""What is printed and what is markup: texts as Markdown and HTML that show every character of them.

A model writes the print as it is, and formulas between `\(..\)` or `\[..\]`; PaddleOCR puts dollars in their place. A
printed dollar is therefore replaced by a stand-in before that, until a text is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

PRINTED_DOLLAR: Final = "\ufdd0"
"""Stands for a dollar that was printed. Unicode keeps it for a program's own use: no text has it."""

_WRITTEN: Final = re.compile(r"\\\(.*?\\\)|\\\[.*?\\\]", re.DOTALL)
_AROUND: Final = re.compile(r"\$+(\\\(.*?\\\)|\\\[.*?\\\])\$+", re.DOTALL)
_TIGHT: Final = (
    r"\$\$?(?=\S)(?=[^$\n]*(?:\\[A-Za-z]|[\^{}=]|[A-Za-z]_[A-Za-z0-9])|[A-Za-z]\$)[^$\n]+(?<=\S)\$\$?(?![0-9A-Za-z])"
)
"""A formula as LaTeX has it: something of LaTeX's, and no spaces within the dollars."""

_PRICES: Final = r"\s[0-9][^$\\^_{}=]*\$\s*[0-9]"
_LATEX: Final = re.compile(_TIGHT)
_SHOWN: Final = re.compile(rf"{_TIGHT}|\$\$?(?!{_PRICES})\s[^$]*\s\$\$?")
"""A formula as LaTeX has it, or with spaces as PaddleOCR writes it."""

_FORMULA: Final = re.compile(r"\$\$[^$]+\$\$|\$[^$]+\$")
_PAIR: Final = re.compile(r"(?<![0-9])\$[^$]+\$(?![0-9])")
"""What parsers of formulas in Markdown may take for one (GitHub's, Pandoc's, dollarmath)."""

_INLINE: Final = re.compile(
    r"(?P<run>\*+|_+|`+)"  # emphasis, a program
    r"|\\(?=[!-/:-@\[-`{-~\ufdd0\n])"  # would escape what follows
    r"|<(?=[A-Za-z/!?])|&(?=#?\w{1,31};)"  # a tag, an entity
    r"|\[(?=[^\[\]]*\][(\[:])"  # a link, an image, the address of one
    r"|~(?=~)|(?<=~)~"
)
_INDENTED: Final = re.compile(r"^(?: {4}| {0,3}\t)[ \t]*+(?=.*\\)")
_LINE_START: Final = re.compile(
    r"^(?P<space>[ \t]*)(?P<mark>#{1,6}(?=\s|$)|>|[*+](?=\s|$)|-(?=\s+[0-9$\ufdd0€£¥])|[-=*_|:](?=[-=*_|: \t]*$))"
)
_NUMBER: Final = re.compile(r"^[ \t]*([0-9]{1,9})([.)])(?=\s|$)")
_ITEM: Final = re.compile(r"(?:[ \t]*+(?:-|[0-9]{1,9}\.)[ \t]++)++(?=\S)")
_CLOSING_MARKS: Final = re.compile(r"(?<=\s)#+\s*$")


def mark_written(text: str) -> str:
    r"""A model's own words with its printed dollars marked; what PaddleOCR makes of formulas is left to it.

    >>> mark_written(r"\(a+b\) for $5") == r"\(a+b\) for " + PRINTED_DOLLAR + "5"
    True
    """
    if "$" not in text:
        return text
    if not _WRITTEN.search(text):
        return _between(_LATEX, text, _to_mark)
    # dollars within a formula and those around it are another way to write it
    return _between(_WRITTEN, _AROUND.sub(r"\1", text), _to_mark)


def mark_shown(text: str) -> str:
    """The same for a text with PaddleOCR's delimiters: a formula has spaces within them, a price has none."""
    return _between(_SHOWN, text, _to_mark)


def unmark(text: str) -> str:
    """The text as it was printed."""
    return text.replace(PRINTED_DOLLAR, "$")


def escape_markdown(text: str, *, title: bool = False) -> str:
    r"""Markdown that shows a marked text, with its formulas; `title` is a text that does not begin a line.

    Only what would be taken for markup is escaped: most texts come back as they are. Lists stay lists.

    >>> escape_markdown("List<String> of 3 * 4"), escape_markdown("a < b, $5 or $6, snake_case")
    ('List\\<String> of 3 * 4', 'a < b, $5 or $6, snake_case')
    """
    has_pairs = _PAIR.search(unmark(text)) is not None
    many = frozenset(mark for mark in "*_`" if text.count(mark) > 1)
    escaped = _between(_FORMULA, text, lambda piece: _escape_inline(piece, many))
    escaped = escaped.replace(PRINTED_DOLLAR, r"\$" if has_pairs else "$")
    if title:
        return _CLOSING_MARKS.sub(lambda marks: "\\" + marks[0], escaped)
    return "\n".join(_escape_starts(escaped.split("\n"))) if escaped.strip() else escaped


def escape_html(text: str) -> str:
    """HTML that shows a marked text; what is no tag and no entity is left as it is.

    >>> escape_html("Fish & chips <b> 1 < 2")
    'Fish & chips &lt;b> 1 < 2'
    """
    text = re.sub(r"&(?=#?\w{1,31};)", "&amp;", text)
    return unmark(re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text))


def _to_mark(text: str) -> str:
    return text.replace("$", PRINTED_DOLLAR)


def _between(formulas: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """The text with what is between its formulas changed."""
    pieces, at = [], 0
    for found in formulas.finditer(text):
        pieces += [change(text[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*pieces, change(text[at:])])


def _escape_inline(text: str, many: frozenset[str]) -> str:
    def escaped(found: re.Match[str]) -> str:
        mark = found[0][0]
        if not found["run"]:
            return f"\\{found[0]}"
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        stands_alone = not before.strip() and not after.strip()
        is_in_word = mark == "_" and before.isalnum() and after.isalnum()
        if mark not in many or is_in_word or (stands_alone and mark != "`"):
            return found[0]
        return f"\\{mark}" * len(found[0])

    return _INLINE.sub(escaped, text)


def _escape_starts(lines: list[str]) -> Iterator[str]:
    """Lines without what would begin a block of another kind; numbers that a list would count anew."""
    found = [number for line in lines if (number := _NUMBER.match(line))]
    numbers = [int(number[1]) for number in found]
    counted = not found or numbers == [*range(numbers[0], numbers[0] + len(numbers))]
    # a list shows a point behind its numbers
    counted = counted and all(number[2] == "." for number in found)
    for line in lines:
        # four spaces would make it a program, in which nothing is escaped
        whole = _INDENTED.sub("   ", line)
        if not counted:
            whole = _NUMBER.sub(lambda number: f"{number[0][:-1]}\\{number[2]}", whole)
        escaped = _escape_start(whole)
        if escaped == whole and (item := _ITEM.match(whole)):
            escaped = item[0] + _escape_start(whole[item.end() :])
        yield escaped


def _escape_start(line: str) -> str:
    return _LINE_START.sub(lambda start: f"{start['space'][:3]}\\{start['mark']}", line)
