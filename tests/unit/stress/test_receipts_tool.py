"""`python -m stress receipts`: what it asks for, and when it is not kept."""

from __future__ import annotations

from stress.receipts.command import missed, to_figures
from stress.receipts.scenarios import Record

KILL: Record = {
    "receipts": 500,
    "results": 500,
    "missing": 0,
    "told_again": 3,
    "read_again": 4,
    "window": 16,
    "redelivered_seconds": 10.0,
    "done_again_seconds": 20.0,
    "buried": 0,
}
RATE: Record = {"receipts": 60, "rounds": 1, "sdk_per_second": 2.0, "pipeline_per_second": 1.9, "share": 0.95}


def test_what_is_kept_is_not_missed() -> None:
    assert missed(to_figures({"kill": {**KILL}, "throughput": {**RATE}}, 10, 8)) == []


def test_what_is_not_kept_is_named_with_what_was_asked_for() -> None:
    kill: Record = {**KILL, "missing": 1, "results": 499, "read_again": 17, "redelivered_seconds": 15.5}
    found = missed(to_figures({"kill": kill, "throughput": {**RATE, "share": 0.8}}, 10, 8))
    assert [line.partition(": ")[2] for line in found] == [
        "499, asked for 500",
        "1, asked for 0",
        "17, asked for 16 at most: the window",
        "15.5, asked for 15 at most",
        "0.8, asked for 0.9 at least",
    ]
