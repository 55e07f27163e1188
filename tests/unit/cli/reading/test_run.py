"""A run of `ocrvl read` with a client of a few lines: what comes out, and what becomes of trouble."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ocrvl.wire import FinishReason, Task
from ocrvl_cli.reading.batch import Limits
from ocrvl_cli.reading.connection import ReadingClient, Server
from ocrvl_cli.reading.errors import Exit
from ocrvl_cli.reading.read_plan import Format, ReadPlan
from ocrvl_cli.reading.run import read_all
from ocrvl_client import Document, InvalidRequest, Page, Reading, RequestTimeout, ServerError, ServerUnavailable

PDF = b"%PDF-1.7 "
LIMITS = Limits(jobs=4, documents=2, retry_timeout=0.05)
TEXTS = ReadPlan(to_files=True, formats=(Format.TEXT,))


@dataclass
class Scripted:
    """A client: the text of an image is its bytes, a document has two pages.

    `fail` is called before a request is answered, `away` counts down the looks at a server that is not ready.
    """

    fail: Callable[[bytes], None] = lambda _data: None
    away: int = 0
    requests: list[tuple[bytes, Mapping[str, Any]]] = field(default_factory=list)
    inside: int = 0
    most_inside: int = 0
    ended: list[bytes] = field(default_factory=list)
    page_error: str = ""
    block_error: str = ""

    async def read(self, image: bytes, **options: Any) -> Reading:
        await self._take(image, options)
        return Reading(image.decode(), FinishReason.STOP, 5, 2, warning="one frame of 2" if b"two" in image else "")

    async def document_stream(self, file: bytes, **options: Any) -> AsyncGenerator[Page | Document, None]:
        await self._take(file, options)
        for page in self._pages():
            yield page
        yield Document("# Title")

    async def is_ready(self) -> bool:
        self.away -= 1
        return self.away < 0

    def _pages(self) -> Iterator[Page]:
        for index in range(2):
            block = {"block_label": "text", "block_bbox": [0, 0, 1, 1], "block_content": "Tea"}
            block |= {"error": self.block_error} if self.block_error and index else {}
            error = self.page_error if index else ""
            images = {f"page_{index + 1:04d}.jpg": b"jpeg"}
            yield Page(index, "", {"parsing_res_list": [block]}, images, error, "", index + 1, 2)

    async def _take(self, data: bytes, options: Mapping[str, Any]) -> None:
        self.requests.append((data, options))
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await asyncio.sleep(0.001)
            self.fail(data)
        except asyncio.CancelledError:
            self.ended.append(data)
            raise
        finally:
            self.inside -= 1


@dataclass(frozen=True)
class ScriptedServer(Server):
    client: Scripted = field(default_factory=Scripted)

    def connect(self) -> AbstractAsyncContextManager[ReadingClient]:
        @asynccontextmanager
        async def connected() -> AsyncGenerator[ReadingClient, None]:
            yield self.client

        return connected()


def read(
    client: Scripted,
    *paths: Path | str,
    plan: ReadPlan = TEXTS,
    output: Path | None = None,
    limits: Limits = LIMITS,
    force: bool = False,
) -> Exit:
    server = ScriptedServer("127.0.0.1:9", client=client)
    return read_all([str(path) for path in paths], server, plan, limits, output, force=force)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Twenty images in a folder."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.png").write_bytes(f"text {number}".encode())
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def written(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in sorted(out.rglob("*.txt"))}


ALL = {f"{number}.txt": f"text {number}" for number in range(20)}


def test_texts_come_in_the_order_of_the_inputs(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted()
    assert read(client, scans, plan=ReadPlan()) is Exit.READ
    assert capsys.readouterr().out.splitlines()[1::2] == list(ALL.values())
    assert client.most_inside == LIMITS.jobs


def test_an_image_alone_is_its_text_and_nothing_else(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(Scripted(), scans / "3.png", plan=ReadPlan(task=Task.TABLE, options={"raw": True}))
    assert capsys.readouterr() == ("text 3\n", "")


def test_the_request_has_the_task_and_options_of_the_command(scans: Path) -> None:
    client = Scripted()
    read(client, scans / "3.png", plan=ReadPlan(task=Task.TABLE, options={"raw": True}))
    assert client.requests == [(b"text 3", {"task": Task.TABLE, "raw": True})]


def test_json_is_an_object_a_line(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(Scripted(), scans, plan=ReadPlan(formats=(Format.JSON,)))
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == list(ALL.values())


def test_a_document_is_a_folder_of_files(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    assert read(Scripted(), tmp_path / "a.pdf", plan=ReadPlan(to_files=True), output=out) is Exit.READ
    assert files(out) == {"a/a.md", "a/a.json", "a/page_0001.jpg", "a/page_0002.jpg"}
    assert [page["page_index"] for page in json.loads((out / "a/a.json").read_text())] == [0, 1]


def test_few_documents_are_in_flight_at_a_time(tmp_path: Path, out: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.pdf").write_bytes(PDF)
    client = Scripted()
    read(client, f"{tmp_path}/*.pdf", output=out)
    assert client.most_inside == LIMITS.documents


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


def refuse(words: bytes, error: Exception) -> Callable[[bytes], None]:
    def fail(data: bytes) -> None:
        if words in data:
            raise error

    return fail


@pytest.mark.parametrize(
    "error", [InvalidRequest("it is damaged"), ServerError("error 7f"), RequestTimeout("no answer within 3 s")]
)
def test_what_cannot_be_read_is_listed_at_the_end_and_the_others_are_read(
    scans: Path, out: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    (scans / "empty.png").touch()
    assert read(Scripted(refuse(b"text 1", error)), scans, "/nowhere.png", output=out) is Exit.SOME_FAILED
    *failures, summary = capsys.readouterr().err.splitlines()
    assert failures[0] == f"{scans}/1.png: {error}"
    assert failures[-2:] == [f"{scans}/empty.png: it is empty", "/nowhere.png: No such file or directory"]
    assert summary == "9 read, 13 failed"
    assert len(written(out)) == 9


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("image 0: it is a damaged PNG", "it is a damaged PNG"),
        ("image 0: it is not an image (PNG, …)", "it is neither a PDF nor an image (PNG, …)"),
    ],
)
def test_of_one_file_it_is_said_what_is_wrong_with_a_file(
    scans: Path, capsys: pytest.CaptureFixture[str], told: str, shown: str
) -> None:
    assert read(Scripted(refuse(b"", InvalidRequest(told))), scans / "1.png", plan=ReadPlan()) is Exit.SOME_FAILED
    assert capsys.readouterr().err.splitlines()[0] == f"{scans}/1.png: {shown}"


def test_warnings_do_not_fail_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tif").write_bytes(b"two frames")
    assert read(Scripted(), tmp_path / "a.tif", plan=ReadPlan()) is Exit.READ
    assert capsys.readouterr() == ("two frames\n", f"{tmp_path}/a.tif: one frame of 2\n")


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


@pytest.fixture
def _short_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocrvl_cli.reading.batch._POLL_SECONDS", 0.01)


@pytest.mark.usefixtures("_short_poll")
def test_a_server_that_comes_back_is_waited_for(scans: Path, out: Path) -> None:
    broken: list[bytes] = []

    def fail(data: bytes) -> None:
        if data == b"text 7" and not broken:
            broken.append(data)
            raise ServerUnavailable("the connection broke")

    client = Scripted(fail, away=2)
    assert read(client, scans, output=out, limits=Limits(jobs=4, start_retry_timeout=30, retry_timeout=30)) is Exit.READ
    assert written(out) == ALL
    assert len(client.requests) == 21


def test_a_server_that_dies_ends_the_run_and_the_next_one_reads_the_rest(
    scans: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Scripted()

    def fail(data: bytes) -> None:
        if len(client.requests) > 9:
            client.away = 999
            raise ServerUnavailable("the connection broke")

    client.fail = fail
    assert read(client, scans, output=out) is Exit.LOST
    told = capsys.readouterr().err
    assert "went away and was not back within 0.05 s (the connection broke)" in told
    assert "the same command goes on from there" in told
    kept = written(out)
    assert 5 <= len(kept) < 10
    assert kept.items() <= ALL.items()
    assert f"{len(kept)} read, {20 - len(kept)} not" in told
    rest = Scripted()
    assert read(rest, scans, output=out) is Exit.READ
    assert len(rest.requests) == 20 - len(kept)
    assert written(out) == ALL


def test_without_a_server_no_input_is_read(scans: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted(away=999)
    assert read(client, scans, output=out) is Exit.REFUSED
    assert "no server at 127.0.0.1:9: nothing listens there" in capsys.readouterr().err
    assert client.requests == []


@pytest.mark.usefixtures("_short_poll")
def test_a_server_that_is_loading_is_waited_for_with_the_option_wait(scans: Path) -> None:
    limits = Limits(start_retry_timeout=30)
    assert read(Scripted(away=1), scans / "1.png", plan=ReadPlan(), limits=limits) is Exit.READ


def test_a_model_that_the_server_does_not_have_is_said_once(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted(refuse(b"", InvalidRequest("Request for unknown model: 'ocr' is not found")))
    assert read(client, scans, plan=ReadPlan()) is Exit.REFUSED
    assert capsys.readouterr().err.count("unknown model") == 1


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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)])
def test_a_run_that_is_interrupted_cancels_what_is_in_flight_and_keeps_the_rest(
    scans: Path, out: Path, capsys: pytest.CaptureFixture[str], number: int, status: Exit
) -> None:
    class Endless(Scripted):
        async def read(self, image: bytes, **options: Any) -> Reading:
            if image == b"text 9":
                os.kill(os.getpid(), number)
                try:
                    await asyncio.sleep(600)
                finally:
                    self.ended.append(image)
            return await super().read(image, **options)

    client = Endless()
    assert read(client, scans, output=out) is status
    assert b"text 9" in client.ended
    assert "the same command goes on from there" in capsys.readouterr().err
    assert written(out).items() <= ALL.items()
    assert read(Scripted(), scans, output=out) is Exit.READ
    assert written(out) == ALL


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
