"""Receipts as text, JSON and tables for spreadsheets, from the JSON that the server answers with."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ocrvl_cli.reading.read_plan import Format
from ocrvl_cli.terminal import dump_json

FIELDS: Final = ("company", "address", "date", "currency", "payment", "subtotal", "tax", "total")
RECEIPT_COLUMNS: Final = ("file", *FIELDS, "items", "sum", "warnings")
ITEM_COLUMNS: Final = ("file", "item", "quantity", "name", "price")

TABLES: Final = ("receipts.csv", "items.csv")
"""The names of the tables in an output folder: a row a receipt, and a row an item."""

_BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""By which spreadsheets know a file for UTF-8."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets would compute (OWASP, "CSV Injection")."""

_NUMBERS: Final = {"subtotal", "tax", "total", "quantity", "price"}


def render_receipt(receipt: Mapping[str, Any], name: str, format: Format) -> str:  # noqa: A002
    """A receipt as a line for each field and item, as JSON, or as a row of `RECEIPT_COLUMNS`."""
    match format:
        case Format.JSON:
            return dump_json({"file": name, **receipt})
        case Format.CSV:
            return _lines([receipt_row(receipt, name)]).rstrip("\r\n")
        case _:
            return _text(receipt)


def header() -> str:
    """The head of the rows of receipts."""
    return ",".join(RECEIPT_COLUMNS)


def render_tables(receipts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The two tables of receipts, of which each has its `file`."""
    rows = [receipt_row(receipt, receipt["file"]) for receipt in receipts]
    items = [row for receipt in receipts for row in item_rows(receipt, receipt["file"])]
    texts = (_lines([RECEIPT_COLUMNS, *rows]), _lines([ITEM_COLUMNS, *items]))
    return {name: _BYTE_ORDER_MARK + text for name, text in zip(TABLES, texts, strict=True)}


def receipt_row(receipt: Mapping[str, Any], name: str) -> list[str]:
    """The values of a receipt; what was found and has none is told among its warnings."""
    fields = receipt["fields"]
    unclear = [
        f"{field}: {fields[field]['text']!r}" for field in FIELDS if fields[field] and fields[field]["value"] is None
    ]
    return [
        _cell("file", name),
        *(_cell(field, _value(fields[field])) for field in FIELDS),
        str(len(fields["items"])),
        receipt["checks"]["sum"],
        _cell("warnings", "; ".join([*receipt["warnings"], *unclear])),
    ]


def item_rows(receipt: Mapping[str, Any], name: str) -> list[list[str]]:
    """A row for each item of a receipt, numbered from 1 on."""
    return [
        [
            _cell("file", name),
            str(number),
            _cell("quantity", _value(item["quantity"])),
            _cell("name", _value(item["name"])),
            _cell("price", _value(item["price"])),
        ]
        for number, item in enumerate(receipt["fields"]["items"], 1)
    ]


def _text(receipt: Mapping[str, Any]) -> str:
    fields = receipt["fields"]
    rows = [(field, _shown(fields[field])) for field in FIELDS if fields[field]]
    for item in fields["items"]:
        parts = [_shown(item[part]) for part in ("quantity", "name", "price")]
        rows.append(("item", "  ".join(filter(None, parts))))
    if receipt["checks"]["sum"] == "mismatch":
        rows.append(("sum", "the items do not add up to the total"))
    return "\n".join(f"{name:<9}{value}" for name, value in rows)


def _shown(field: Mapping[str, Any] | None) -> str:
    """A field's value, or as printed where that can mean several or none."""
    return "" if field is None else _value(field) or " ".join(str(field["text"]).split())


def _value(field: Mapping[str, Any] | None) -> str:
    return "" if field is None or field["value"] is None else str(field["value"])


def _cell(column: str, text: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{text}" if column not in _NUMBERS and text.startswith(_FORMULA) else text


def _lines(rows: Iterable[Sequence[str]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
