"""`ocrvl_cli.reading.reader`: what is requested for an input, and what is written and read again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocrvl.wire import Task
from ocrvl_cli.reading.errors import Exit
from ocrvl_cli.reading.read_plan import Format, ReadPlan
from ocrvl_client import Page
from tests.support.read_runs import ALL, PDF, Scripted, read, written


def test_the_request_has_the_task_and_options_of_the_command(scans: Path) -> None:
    client = Scripted()
    read(client, scans / "3.png", plan=ReadPlan(task=Task.TABLE, options={"raw": True}))
    assert client.requests == [(b"text 3", {"task": Task.TABLE, "raw": True})]


def test_a_document_is_a_folder_of_files(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    assert read(Scripted(), tmp_path / "a.pdf", plan=ReadPlan(to_files=True), output=out) is Exit.READ
    assert files(out) == {"a/a.md", "a/a.json", "a/page_0001.jpg", "a/page_0002.jpg"}
    assert [page["page_index"] for page in json.loads((out / "a/a.json").read_text())] == [0, 1]


@pytest.mark.parametrize("client", [Scripted(page_error="too dark"), Scripted(block_error="too dark")])
def test_a_document_of_which_a_part_failed_is_written_and_counts_as_failed(
    tmp_path: Path, out: Path, client: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    assert read(client, tmp_path / "a.pdf", output=out) is Exit.SOME_FAILED
    assert f"{tmp_path}/a.pdf: page 2: too dark" in capsys.readouterr().err
    assert (out / "a/a.txt").exists()
    again = Scripted()
    assert read(again, tmp_path / "a.pdf", output=out) is Exit.READ
    assert len(again.requests) == 1


class Pages(Scripted):
    """Reads as many pages as the option `pages` says, and is interrupted after the third if told so."""

    is_interrupted = False

    def _pages(self) -> Iterator[Page]:
        for index in range(int(str(self.requests[-1][1].get("pages", "5")))):
            images = {f"page_{index + 1:04d}.jpg": b"jpeg", f"imgs/{index}.jpg": b"jpeg"}
            yield Page(index, "", {"parsing_res_list": []}, images, "", "", index + 1, 9)
            if self.is_interrupted and index == 2:
                raise KeyboardInterrupt


def files(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.name[0] != "."}


def pages_of(number: int) -> set[str]:
    return {name for index in range(number) for name in (f"a/page_{index + 1:04d}.jpg", f"a/imgs/{index}.jpg")}


@pytest.mark.parametrize("is_interrupted", [True, False])
def test_pages_of_an_earlier_reading_that_are_not_read_again_are_removed(
    tmp_path: Path, out: Path, is_interrupted: bool
) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    client = Pages()
    client.is_interrupted = is_interrupted
    read(client, tmp_path / "a.pdf", plan=ReadPlan(to_files=True), output=out)
    (out / "a/notes.jpg").write_bytes(b"its user's own")
    assert read(Pages(), tmp_path / "a.pdf", plan=ReadPlan(to_files=True, pages="2"), output=out) is Exit.READ
    assert files(out) == {"a/a.md", "a/a.json", "a/notes.jpg", *pages_of(2)}


def test_a_reading_in_another_format_keeps_the_pages_of_the_first(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    for plan in (ReadPlan(to_files=True, pages="4"), ReadPlan(to_files=True, formats=(Format.TEXT,), pages="2")):
        read(Pages(), tmp_path / "a.pdf", plan=plan, output=out)
    assert files(out) == {"a/a.md", "a/a.json", "a/a.txt", *pages_of(4)}


def test_a_second_run_reads_what_is_new_changed_or_lost(
    scans: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(Scripted(), scans, output=out)
    (scans / "3.png").write_bytes(b"other 3")
    (scans / "more").mkdir()
    (scans / "more/3.png").write_bytes(b"new")
    os.utime(scans / "5.png")
    (out / "4.txt").unlink()
    capsys.readouterr()
    client = Scripted()
    assert read(client, scans, output=out) is Exit.READ
    assert sorted(data for data, _ in client.requests) == [b"new", b"other 3", b"text 4"]
    assert written(out) == ALL | {"3.txt": "other 3", "more/3.txt": "new"}
    assert capsys.readouterr().err == "3 read, 18 done before\n"


def test_what_is_all_done_needs_no_server(scans: Path, out: Path) -> None:
    read(Scripted(), scans, output=out)
    assert read(Scripted(away=99), scans, output=out) is Exit.READ


@pytest.mark.parametrize(
    "change", [{"force": True}, {"plan": ReadPlan(to_files=True, formats=(Format.TEXT,), pages="1")}]
)
def test_by_force_or_for_another_wish_it_is_read_again(scans: Path, out: Path, change: dict[str, Any]) -> None:
    read(Scripted(), scans, output=out)
    client = Scripted()
    read(client, scans, output=out, **change)
    assert len(client.requests) == 20


def test_results_of_one_stem_in_two_folders_are_both_kept(tmp_path: Path, out: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scan.png").write_bytes(folder.encode())
    read(Scripted(), tmp_path / "a/scan.png", tmp_path / "b/scan.png", output=out)
    read(Scripted(), tmp_path / "b/scan.png", output=out, force=True)
    assert written(out) == {"scan.png.txt": "b", "scan.txt": "a"}


def test_a_full_disk_ends_the_run_with_what_was_written(
    scans: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, room = Path.replace, iter(range(5))

    def full(path: Path, target: Path) -> Path:
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    assert read(Scripted(), scans, output=out) is Exit.UNWRITABLE
    assert "No space left on device; free some space" in capsys.readouterr().err
    assert len(written(out)) == 5
    assert written(out).items() <= ALL.items()
    assert not list(out.glob(".ocrvl-*"))
    monkeypatch.undo()
    assert read(Scripted(), scans, output=out) is Exit.READ
    assert written(out) == ALL
