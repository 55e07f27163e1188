"""`ocrvl read` as a person runs it, on the real server: folders, documents, formats, and interruptions."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import IO, Any

import pytest

from ocrvl.launcher.server import TritonServer
from perf.harness.documents import Typesetter, write_pdf
from tests.support.streams import LONG, metric, wait_for

OCRVL = str(Path(sys.executable).parent / "ocrvl")
IN_FLIGHT = "ocrvl_engine_images_in_flight"
TEXT = "Soup of the day"


def run(
    server: TritonServer, *arguments: object, stdin: bytes | None = None, stdout: int | IO[str] = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    command = [OCRVL, "read", "--url", server.grpc_url, *map(str, arguments)]
    return subprocess.run(command, input=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=120, check=False)


@pytest.fixture
def scans(tmp_path: Path, png: bytes) -> Path:
    """Thirty images in two folders, of which some have the same names, and one that is none."""
    folder = tmp_path / "scans"
    for number in range(30):
        path = folder / ("old" if number % 2 else "new") / f"{number // 2}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    (folder / "bad.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(write_pdf([Typesetter(seed=4).page(1, columns=1, figure=True)]))
    return path


def test_a_folder_is_read_past_a_bad_file_and_the_second_run_asks_only_for_that(
    server: TritonServer, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = run(server, scans, "-o", out, "--format", "text")
    assert first.returncode == 1
    assert {path.read_text() for path in out.rglob("*.txt")} == {TEXT}
    assert len(list(out.rglob("*.txt"))) == 30
    failure, summary = first.stderr.decode().splitlines()
    assert failure.startswith(f"{scans}/bad.png: it is neither a PDF nor an image")
    assert summary == "30 read, 1 failed"
    again = run(server, scans, "-o", out, "--format", "text")
    assert again.stderr.decode().splitlines()[-1] == "0 read, 30 done before, 1 failed"


def test_a_document_has_every_format_with_its_pages_drawn(server: TritonServer, pdf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    formats = [word for name in ("text", "markdown", "json", "html") for word in ("--format", name)]
    done = run(server, pdf, "-o", out, "--draw", *formats)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [f"{out}/report/report.{end}" for end in ("txt", "md", "json", "html")]
    files = {path.name for path in (out / "report").iterdir()}
    assert files == {"report.txt", "report.md", "report.json", "report.html", "page_0001.jpg", "imgs"}
    (page,) = json.loads((out / "report/report.json").read_text())
    assert page["page_index"] == 0
    html = (out / "report/report.html").read_text()
    assert "data:image/jpeg;base64," in html
    assert "imgs/" not in html
    title = next(block for block in page["parsing_res_list"] if block["block_label"] == "paragraph_title")
    assert title["block_content"] in (out / "report/report.txt").read_text()


def test_standard_input_and_a_url_are_read_like_files(server: TritonServer, scans: Path) -> None:
    class Folder(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(scans / "new"))

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Folder) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_port}"
        image = (scans / "new/1.png").read_bytes()
        done = run(server, "-", f"{url}/3.png", f"{url}/nothing.png", "--json", stdin=image + image)
        web.shutdown()
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["file"], each["text"]) for each in told] == [
        ("standard input, image 1", TEXT),
        ("standard input, image 2", TEXT),
        (f"{url}/3.png", TEXT),
    ]
    assert "nothing.png: the web server answers 404" in done.stderr.decode()
    assert done.returncode == 1


def test_a_pdf_without_layout_is_read_a_page_at_a_time_with_the_task(server: TritonServer, pdf: Path) -> None:
    done = run(server, pdf, "--task", "ocr", "--json", "--options", '{"max_new_tokens": 4}')
    (page,) = json.loads(done.stdout)["pages"]
    assert [block["block_label"] for block in page["parsing_res_list"]] == ["ocr"]


def test_ctrl_c_cancels_what_is_in_flight_in_the_engine_and_keeps_the_rest(
    server: TritonServer, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [OCRVL, "read", "--url", server.grpc_url, str(scans), "-o", str(out), "--format", "text"]
    slow = [*command, "--options", json.dumps(dict(LONG)), "--jobs", "4"]
    wait_for(lambda: metric(server, IN_FLIGHT) == 0)
    with subprocess.Popen(slow, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: metric(server, IN_FLIGHT) > 0)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told.splitlines()[0]) == (130, "interrupted"), told
    assert "Traceback" not in told
    wait_for(lambda: metric(server, IN_FLIGHT) == 0)
    assert not list(out.rglob(".ocrvl-*"))
    assert run(server, scans, "-o", out, "--format", "text").stderr.decode().endswith("30 read, 1 failed\n")


def test_a_disk_that_is_full_is_said(server: TritonServer, scans: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(server, scans / "new/1.png", stdout=full)
    assert done.returncode == 4
    assert "standard output cannot be written: No space left on device; free some space" in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_port_of_the_other_protocol_is_named(server: TritonServer, scans: Path) -> None:
    command = [OCRVL, "read", str(scans / "new/1.png"), "--url"]
    for url, protocol, words in (
        (server.http_url, "grpc", "speaks HTTP, not gRPC: give --protocol http"),
        (server.grpc_url, "http", "speaks gRPC, not HTTP: give --protocol grpc"),
    ):
        done = subprocess.run([*command, url, "--protocol", protocol], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert words in done.stderr


def test_on_a_terminal_there_is_a_bar_and_results_still_go_where_they_are_sent(
    server: TritonServer, scans: Path
) -> None:
    terminal, end = pty.openpty()
    command = [OCRVL, "read", str(scans / "new"), "--url", server.grpc_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(end)
        shown = b""
        try:
            while chunk := os.read(terminal, 65536):
                shown += chunk
        except OSError:
            # so Linux says that nobody has the other end any more
            pass
        out = process.communicate(timeout=60)[0]
    os.close(terminal)
    assert out.decode().splitlines().count(TEXT) == 15
    assert re.search(rb"\d+ of 15", shown)
    assert TEXT.encode() not in shown


class Gate:
    """Stands between client and server, and can be shut, which breaks every connection, and opened again."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._port = 0
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self._port}"

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._open = [listener]
        Thread(target=self._forward, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _forward(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                ends = listener.accept()[0], socket.create_connection(self._target)
                self._open += ends
                for one, other in (ends, ends[::-1]):
                    Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)


@pytest.mark.parametrize("comes_back", [True, False])
def test_of_a_hundred_files_none_is_lost_when_the_server_goes_away(
    server: TritonServer, png: bytes, tmp_path: Path, comes_back: bool
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for number in range(100):
        (scans / f"{number}.png").write_bytes(png)
    gate = Gate(server.grpc_url)
    gate.open()
    asked = [str(scans), "-o", str(out), "--format", "text"]
    command = [OCRVL, "read", *asked, "--url", gate.url, "--jobs", "8", "--wait", "60" if comes_back else "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: len(list(out.glob("*.txt"))) >= 20)
        gate.shut()
        if comes_back:
            gate.open()
        _, told = process.communicate(timeout=120)
    gate.shut()
    kept = len(list(out.glob("[!.]*.txt")))
    if comes_back:
        assert (process.returncode, told) == (0, "100 read\n")
    else:
        assert process.returncode == 3, told
        assert "the server went away and was not back within 1 s" in told
        assert f"{kept} read" in told
        assert run(server, *asked).stderr.decode() == f"{100 - kept} read, {kept} done before\n"
    assert [path.read_text() for path in out.glob("*.txt")] == [TEXT] * 100
