"""What `ocrvl read` takes its arguments for, and how it fetches what is elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ocrvl_cli.reading.download import download
from ocrvl_cli.reading.errors import InputError
from ocrvl_cli.reading.sources import Input, SkippedInput, find_inputs


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def targets(*arguments: str, leave_out: Path | None = None) -> list[str]:
    return [str(one.target) for one in find_inputs(arguments, leave_out) if isinstance(one, Input)]


def reasons(*arguments: str) -> list[str]:
    return [one.reason for one in find_inputs(arguments) if isinstance(one, SkippedInput)]


def test_a_folder_is_searched_in_depth_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    fill(tmp_path, "p10.png", "p9.PNG", "more/a.pdf", "notes.txt", ".hidden.png", ".cache/b.png", "out/p9/page.jpg")
    assert targets(str(tmp_path), leave_out=tmp_path / "out") == ["p9.PNG", "p10.png", "more/a.pdf"]


def test_a_folder_that_leads_to_itself_ends(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    (tmp_path / "again").symlink_to(tmp_path)
    assert targets(str(tmp_path)) == ["a.png"]


def test_a_pattern_is_matched_where_the_shell_has_not(tmp_path: Path) -> None:
    fill(tmp_path, "2024/a.tif", "2024/more/b.tif", "2024/c.png")
    assert targets(f"{tmp_path}/2024/**/*.tif") == ["a.tif", "more/b.tif"]
    assert reasons(f"{tmp_path}/*.gif") == ["no file matches it"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    fill(tmp_path, "scan[1].png", "scan1.png")
    assert targets(f"{tmp_path}/scan[1].png") == ["scan[1].png"]


def test_a_pattern_below_a_folder_with_brackets_is_matched_there(tmp_path: Path) -> None:
    fill(tmp_path, "scans [2026]/a.png", "scans 2/b.png")
    assert targets(f"{tmp_path}/scans [2026]/*.png") == ["a.png"]
    assert targets(f"{tmp_path}/scans [2026]") == ["a.png"]
    assert targets(f"{tmp_path}/scans [0-9]/*.png") == ["scans 2/b.png"]


def test_what_no_file_can_be_called_is_a_skipped_input(tmp_path: Path) -> None:
    long = f"{tmp_path}/{'a' * 300}.png"
    (one,) = find_inputs([long])
    assert isinstance(one, Input)
    with pytest.raises(InputError, match="too long"):
        one.load(1)
    assert reasons(f"{long}*") == ["no file matches it"]
    assert reasons(f"{tmp_path}/a**b") == ["not a pattern: Invalid pattern: '**' can only be an entire path component"]


def test_what_is_named_twice_is_read_once(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    assert targets(f"{tmp_path}/a.png", str(tmp_path), "-", "-") == ["a.png", "stdin"]


def test_an_empty_folder_is_a_skipped_input(tmp_path: Path) -> None:
    fill(tmp_path, "notes.txt")
    assert [reason.partition(" (")[0] for reason in reasons(str(tmp_path))] == ["no files in it that can be read"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_a_skipped_input_and_the_others_are_searched(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "closed/b.png")
    (tmp_path / "closed").chmod(0)
    assert targets(str(tmp_path)) == ["a.png"]
    assert reasons(str(tmp_path)) == ["the folder cannot be read: Permission denied"]


@pytest.mark.parametrize(("content", "problem"), [(None, "No such file"), (b"", "it is empty")])
def test_a_file_that_is_missing_or_empty_is_a_skipped_input(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    (one,) = find_inputs([str(tmp_path / "a.png")])
    assert isinstance(one, Input)
    with pytest.raises(InputError, match=problem):
        one.load(1)


class Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, _, number = self.path[1:].partition("/")
        if kind == "again":
            self.send_response(302)
            self.send_header("Location", f"/again/{int(number) - 1}" if int(number) else "/ok")
            self.end_headers()
        elif kind == "ftp":
            self.send_response(302)
            self.send_header("Location", "ftp://localhost/a")
            self.end_headers()
        elif kind == "file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif kind == "missing":
            self.send_error(404)
        else:
            body = b"" if kind == "empty" else b"x" * 5000
            self.send_response(200)
            if kind == "promise":
                self.send_header("Content-Length", "99999999")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_url_is_fetched_through_a_few_redirections() -> None:
    with web() as url:
        assert download(f"{url}/again/3", 10) == b"x" * 5000


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("again/9", "redirect"),
        ("ftp/", "ftp"),
        ("file/", "file"),
        ("missing/", "the web server answers 404"),
        ("empty/", "it is empty"),
        ("long/", "larger than"),
        ("promise/", "larger than"),
    ],
)
def test_a_url_without_a_file_is_an_error(path: str, problem: str) -> None:
    with web() as url, pytest.raises(InputError, match=problem):
        download(f"{url}/{path}", 10, max_bytes=4000)


def test_a_download_that_takes_too_long_is_refused() -> None:
    times = iter([0.0, 99.0])
    with web() as url, pytest.raises(InputError, match="not downloaded within 10 s"):
        download(f"{url}/ok", 10, clock=lambda: next(times))


def test_an_unknown_host_is_an_error() -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        download("http://127.0.0.1:9/a.png", 5)
