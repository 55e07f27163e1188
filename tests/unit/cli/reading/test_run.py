"""`ocrvl_cli.reading.run`: what a run prints."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from ocrvl.wire import Task
from ocrvl_cli.reading.errors import Exit
from ocrvl_cli.reading.read_plan import Format, ReadPlan
from ocrvl_client import InvalidRequest
from tests.support.read_runs import ALL, LIMITS, TEXTS, Scripted, read, refuse


def test_texts_come_in_the_order_of_the_inputs(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted(together=LIMITS.jobs)
    assert read(client, scans, plan=ReadPlan()) is Exit.READ
    assert capsys.readouterr().out.splitlines()[1::2] == list(ALL.values())
    assert client.most_inside == LIMITS.jobs


def test_an_image_alone_is_its_text_and_nothing_else(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(Scripted(), scans / "3.png", plan=ReadPlan(task=Task.TABLE, options={"raw": True}))
    assert capsys.readouterr() == ("text 3\n", "")


def test_json_is_an_object_a_line(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(Scripted(), scans, plan=ReadPlan(formats=(Format.JSON,)))
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == list(ALL.values())


def test_warnings_do_not_fail_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tif").write_bytes(b"two frames")
    assert read(Scripted(), tmp_path / "a.tif", plan=ReadPlan()) is Exit.READ
    assert capsys.readouterr() == ("two frames\n", f"{tmp_path}/a.tif: one frame of 2\n")


ESCAPE = "\x1b]0;owned\x07\x9b2J"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of names that a shell, a terminal, Rich or Unicode could stumble over."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in (f"{ESCAPE}.png", "[bold]a.png", "new\nline.png", os.fsdecode(b"caf\xe9.png")):
        (folder / name).write_bytes(name.encode("utf-8", "replace"))
    return folder


ESCAPED = ("\\x1b]0;owned\\x07\\x9b2J.png", "[bold]a.png", "new\\nline.png", "caf\\xe9.png")


@pytest.mark.parametrize("form", [Format.TEXT, Format.MARKDOWN, Format.JSON, Format.HTML])
def test_any_name_is_written_and_known_in_the_next_run(hostile: Path, out: Path, form: Format) -> None:
    plan = ReadPlan(to_files=True, formats=(form,), layout=False)
    assert read(Scripted(), hostile, plan=plan, output=out) is Exit.READ
    again = Scripted()
    assert read(again, hostile, plan=plan, output=out) is Exit.READ
    assert again.requests == []


@pytest.mark.parametrize("output", [True, False])
def test_no_name_or_message_gives_a_terminal_commands(
    hostile: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, output: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    client = Scripted(refuse(b"line", InvalidRequest(f"it is {ESCAPE}")))
    assert read(client, hostile, plan=TEXTS, output=out if output else None) is Exit.SOME_FAILED
    told, failed = capsys.readouterr()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", told + failed)
    assert f"{hostile}/new\\nline.png: it is \\x1b]0;owned" in failed
    for name in ESCAPED[:2]:
        assert (name.replace(".png", ".txt") if output else f"==> {hostile}/{name} <==") in told


def test_a_program_is_given_names_and_texts_as_they_are(
    hostile: Path, out: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    read(Scripted(), hostile, output=out)
    assert os.fsencode(out) + b"/caf\xe9.txt\n" in capfdbinary.readouterr().out
    read(Scripted(), hostile / f"{ESCAPE}.png", plan=ReadPlan())
    assert capfdbinary.readouterr().out.decode() == f"{ESCAPE}.png\n"


def test_json_is_valid_for_any_name_and_shows_a_terminal_nothing_to_obey(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(Scripted(), hostile, plan=ReadPlan(formats=(Format.JSON,)))
    told = capsys.readouterr().out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", told)
    names = {Path(json.loads(line)["file"]).name for line in told.splitlines()}
    assert names == {f"{ESCAPE}.png", "[bold]a.png", "new\nline.png", "caf\\xe9.png"}


def test_html_on_the_screen_is_one_page(scans: Path) -> None:
    with pytest.raises(Exception, match="needs a folder"):
        read(Scripted(), scans, plan=ReadPlan(formats=(Format.HTML,)))
