"""Rows of an HTML table, as the server writes tables."""

from __future__ import annotations

from html.parser import HTMLParser


def rows_of(html: str) -> list[list[str]]:
    """The rows of all tables in a text; a cell that spans several rows or columns is repeated in each.

    That is so for 100,000 repetitions: a text of some kilobytes can ask for any number of them.

    >>> rows_of('<table><tr><td colspan="2">Tea</td></tr><tr><td>green</td><td>2.40</td></tr></table>')
    [['Tea', 'Tea'], ['green', '2.40']]
    >>> rows_of("no table")
    []
    """
    parser = _Rows()
    parser.feed(html)
    parser.close()
    return parser.rows


_MAX_SPAN = 1000
"""What HTML allows a cell to span (https://html.spec.whatwg.org, "Attributes common to td and th elements")."""

_MAX_REPEATED = 100_000
"""Ten times the cells of the largest table that the server converts."""


class _Rows(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._spans = (1, 1)
        # column -> rows still to come that a cell above reaches into, and its text
        self._above: dict[int, tuple[int, str]] = {}
        self._repeated = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._end_row()
            self._above.clear()
        elif tag == "tr":
            self._end_row()
            self._row = []
        elif tag in ("td", "th"):
            self._end_cell()
            given = dict(attrs)
            self._spans = (_span(given.get("rowspan")), _span(given.get("colspan")))
            self._cell = []
        elif tag == "br" and self._cell is not None:
            self._cell.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._end_cell()
        elif tag in ("tr", "table"):
            self._end_row()

    def parse_marked_section(self, i: int, report: int = 1) -> int:  # noqa: ARG002 - the parser's own
        """Leave out what begins with `<![`, as HTML does it; Python's parser ends at those it does not know."""
        return self.rawdata.find(">", i) + 1 or -1

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def close(self) -> None:
        super().close()
        self._end_row()

    def _end_cell(self) -> None:
        if self._cell is None:
            return
        if self._row is None:
            self._row = []
        text = "".join(self._cell).strip()
        self._cell = None
        self._fill_from_above(self._row)
        rows, columns = self._spans if self._repeated < _MAX_REPEATED else (1, 1)
        self._repeated += columns - 1
        for _ in range(columns):
            if rows > 1:
                self._above[len(self._row)] = (rows - 1, text)
            self._row.append(text)

    def _fill_from_above(self, row: list[str]) -> None:
        while len(row) in self._above and self._repeated < _MAX_REPEATED:
            self._repeated += 1
            left, text = self._above.pop(len(row))
            if left > 1:
                self._above[len(row)] = (left - 1, text)
            row.append(text)

    def _end_row(self) -> None:
        self._end_cell()
        if self._row is not None:
            self._fill_from_above(self._row)
            self.rows.append(self._row)
        self._row = None


def _span(value: str | None) -> int:
    # a number of thousands of digits is one that Python does not even read
    return min(_MAX_SPAN, max(1, int(value.lstrip("0")[:5] or 1))) if value and value.isdecimal() else 1
