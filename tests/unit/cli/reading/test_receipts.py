"""`ocrvl read --receipt`: fields on the screen, as JSON, as tables, and drawn."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from ocrvl_cli.reading.errors import Exit
from ocrvl_cli.reading.read_plan import Format, ReadPlan
from ocrvl_cli.reading.receipts import ITEM_COLUMNS, RECEIPT_COLUMNS, render_receipt, render_tables
from ocrvl_client import InvalidRequest
from tests.support.read_runs import Scripted, read, refuse
from tests.support.receipt_answers import answer, field

FILES = ReadPlan(receipt=True, to_files=True)


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(f"shop {name}".encode())
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    """A table as a spreadsheet reads it."""
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))


def test_fields_are_lines_on_the_screen(receipts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(Scripted(), receipts / "a.png", plan=ReadPlan(receipt=True)) is Exit.READ
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "company  shop a",
        "date     2026-11-30",
        "currency EUR",
        "payment  card",
        "tax      1.23",
        "total    12.40",
        "item     2  Tea  9.99",
        "item     =SUM(A1)  ?",
    ]
    assert err == f"{receipts}/a.png: line 3: too long\n"


def test_items_that_do_not_add_up_are_told() -> None:
    assert "sum " not in render_receipt(answer(), "a", Format.TEXT)
    mismatch: dict[str, Any] = {**answer(), "checks": {"sum": "mismatch"}}
    assert render_receipt(mismatch, "a", Format.TEXT).endswith("the items do not add up to the total")


def test_rows_come_below_one_head_on_the_screen(receipts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(Scripted(), receipts, plan=ReadPlan(receipt=True, formats=(Format.CSV,)))
    head, *found = capsys.readouterr().out.splitlines()
    assert head == ",".join(RECEIPT_COLUMNS)
    assert [row.split(",")[1] for row in found] == ["shop a", "shop b"]


def test_a_folder_gets_json_drawings_and_tables(receipts: Path, out: Path) -> None:
    client = Scripted()
    assert read(client, receipts, plan=FILES, output=out) is Exit.READ
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "a.fields.jpg",
        "a.json",
        "b.fields.jpg",
        "b.json",
        "items.csv",
        "receipts.csv",
    ]
    assert (out / "a.fields.jpg").read_bytes() == b"drawing"
    assert json.loads((out / "a.json").read_text()) == {
        "file": f"{receipts}/a.png",
        **answer(company=field("shop a", "shop a")),
    }
    first, second = rows(out / "receipts.csv")
    assert (first["company"], second["company"]) == ("shop a", "shop b")
    assert (first["date"], first["total"], first["subtotal"], first["items"]) == ("2026-11-30", "12.40", "", "2")
    assert (first["sum"], first["warnings"]) == ("unknown", "line 3: too long")
    items = rows(out / "items.csv")
    assert [(row["file"], row["item"], row["name"]) for row in items[:2]] == [
        (f"{receipts}/a.png", "1", "Tea"),
        (f"{receipts}/a.png", "2", "'=SUM(A1)"),
    ]
    assert (items[0]["quantity"], items[0]["price"], items[1]["price"]) == ("2", "9.99", "")
    assert tuple(items[0]) == ITEM_COLUMNS


def test_what_is_done_is_skipped_and_stays_in_the_tables(receipts: Path, out: Path) -> None:
    read(Scripted(), receipts / "a.png", plan=FILES, output=out)
    again = Scripted(fail=refuse(b"shop c", InvalidRequest("it is not an image in a format that is read: a PDF")))
    (receipts / "c.png").write_bytes(b"shop c")
    assert read(again, receipts, plan=FILES, output=out) is Exit.SOME_FAILED
    assert sorted(data for data, _ in again.requests) == [b"shop b", b"shop c"]
    assert [row["company"] for row in rows(out / "receipts.csv")] == ["shop a", "shop b"]


def test_a_pdf_is_refused_in_words_that_name_no_pdf_as_readable(
    receipts: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Scripted(fail=refuse(b"", InvalidRequest("it is not an image in a format that is read: a PDF")))
    assert read(refused, receipts / "a.png", plan=FILES, output=out) is Exit.SOME_FAILED
    assert "it is not an image in a format that is read: a PDF" in capsys.readouterr().err
    assert not (out / "receipts.csv").exists()


def test_one_format_in_a_folder_is_that_alone(receipts: Path, out: Path) -> None:
    client = Scripted()
    plan = ReadPlan(receipt=True, to_files=True, formats=(Format.TEXT,), options={"max_tokens": 40})
    read(client, receipts / "a.png", plan=plan, output=out)
    assert [path.name for path in out.iterdir() if path.name[0] != "."] == ["a.txt"]
    assert client.requests[0][1] == {"visualize": False, "max_tokens": 40}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2+3", "@cmd", "\tx"])
def test_no_text_of_a_receipt_is_computed_by_a_spreadsheet(text: str) -> None:
    price = field("-2,50", "-2.50")
    items = [{"name": field(text, text), "quantity": None, "price": price}]
    tables = render_tables([{"file": text, **answer(company=field(text, text), items=items, total=price)}])
    (receipt,) = csv.DictReader(io.StringIO(tables["receipts.csv"].removeprefix("\ufeff"), newline=""))
    (item,) = csv.DictReader(io.StringIO(tables["items.csv"].removeprefix("\ufeff"), newline=""))
    assert receipt["company"] == item["name"] == item["file"] == f"'{text}"
    # a number stays one
    assert receipt["total"] == item["price"] == "-2.50"


def test_a_field_without_a_value_is_told_as_printed() -> None:
    tables = render_tables([{"file": "a", **answer(total=field("1.234,5?", None))}])
    (receipt,) = csv.DictReader(io.StringIO(tables["receipts.csv"].removeprefix("\ufeff")))
    assert (receipt["total"], receipt["warnings"]) == ("", "line 3: too long; total: '1.234,5?'")
