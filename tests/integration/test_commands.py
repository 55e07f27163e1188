"""`ocrvl read` of single files, as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ocrvl.launcher.server import TritonServer
from ocrvl_client import Client
from tests.support import images

OCRVL = str(Path(sys.executable).parent / "ocrvl")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([OCRVL, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    path = tmp_path / "receipt.png"
    path.write_bytes(images.encode(images.plain()))
    return path


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_read_prints_the_text(server: TritonServer, receipt: Path, protocol: str) -> None:
    url = server.grpc_url if protocol == "grpc" else server.http_url
    done = run("read", str(receipt), "--protocol", protocol, "--url", url)
    with Client(server.grpc_url) as client:
        assert done.stdout == client.read(receipt).text + "\n"
    assert done.returncode == 0


def test_read_goes_on_after_a_bad_file_and_says_so(server: TritonServer, receipt: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"hello")
    done = run("read", str(bad), str(receipt), "--json", "--url", server.grpc_url)
    assert done.returncode == 1
    assert "bad.png: it is neither a PDF nor an image" in done.stderr.replace("\n", " ")
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == [str(receipt)]


def test_read_without_a_server_says_how_to_start_one(receipt: Path) -> None:
    done = run("read", str(receipt), "--url", "127.0.0.1:9")
    assert done.returncode == 2
    assert "no server at 127.0.0.1:9" in done.stderr
    assert "ocrvl serve" in done.stderr
    assert "Traceback" not in done.stderr
