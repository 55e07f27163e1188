"""Every example, run as its reader runs it, against the real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ocrvl.launcher.server import TritonServer
from perf.harness.documents import Typesetter, write_pdf
from tests.support import images

EXAMPLES = Path("examples")
TEXT = "Soup of the day"


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = str(EXAMPLES / name)
    command = [sys.executable, path] if path.endswith(".py") else [path]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def scan(tmp_path: Path, png: bytes) -> Path:
    path = tmp_path / "scan.png"
    path.write_bytes(png)
    return path


@pytest.mark.parametrize(
    ("name", "port", "lines"),
    [
        ("curl.sh", "http", None),
        ("generate.py", "http", [TEXT, TEXT]),
        ("http_json.py", "http", [TEXT]),
        ("tritonclient_grpc.py", "grpc", [TEXT]),
        ("tritonclient_stream.py", "grpc", [TEXT]),
    ],
)
def test_an_example_of_an_image_prints_its_text(
    server: TritonServer, scan: Path, name: str, port: str, lines: list[str] | None
) -> None:
    done = run(name, scan, server.http_url if port == "http" else server.grpc_url)
    assert done.returncode == 0, done.stderr
    if lines is None:
        assert f'"text":"{TEXT}"' in done.stdout
        assert done.stdout.splitlines()[-1] == "200"
    else:
        assert done.stdout.splitlines() == lines


def test_every_script_of_the_readme_ends_by_itself_with_what_it_is_for(server: TritonServer, scan: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", Path("README.md").read_text("utf-8"), re.DOTALL)
    (scan.parent / "scans").mkdir()
    for block in blocks:
        script = block.replace("localhost:8001", server.grpc_url)
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=scan.parent, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stdout.strip()) == (0, TEXT), done.stderr
    assert len(blocks) == 2


def test_what_the_server_refuses_is_what_an_example_says(server: TritonServer, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    done = run("http_json.py", tmp_path / "bad.png", server.http_url)
    assert done.returncode == 1
    assert "it is not an image" in done.stderr
    assert "Traceback" not in done.stderr


def test_of_several_images_a_bad_one_fails_alone(server: TritonServer, scan: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    done = run("tritonclient_http.py", server.http_url, scan, tmp_path / "bad.png")
    good, bad = done.stdout.splitlines()
    assert good == f"{scan}: {TEXT}"
    assert "it is not an image" in bad


def test_a_folder_of_images_becomes_a_text_beside_each(server: TritonServer, png: bytes, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(png)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    done = run("thousand_files.py", tmp_path, server.grpc_url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path}/bad.jpg: ")
    assert {path.read_text() for path in tmp_path.glob("*.txt")} == {TEXT}
    assert len(list(tmp_path.glob("*.txt"))) == 40


def test_a_pdf_becomes_markdown_with_its_images(server: TritonServer, tmp_path: Path) -> None:
    pdf = tmp_path / "report.pdf"
    pdf.write_bytes(write_pdf([Typesetter(seed=4).page(1, columns=1, figure=True)]))
    done = run("document.py", pdf, tmp_path / "out", server.grpc_url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("page 1, 1 of 1: ")
    markdown = (tmp_path / "out/document.md").read_text()
    (image,) = (tmp_path / "out/imgs").iterdir()
    assert f"imgs/{image.name}" in markdown
    assert image.read_bytes() != images.encode(images.plain())


def test_every_example_is_in_the_list_and_short() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".sh"):
            assert f"[`{path.name}`]({path.name})" in readme
            assert len(path.read_text("utf-8").splitlines()) <= 32
