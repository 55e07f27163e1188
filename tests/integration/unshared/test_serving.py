"""`ocrvl serve` as an operator runs it, and Triton as one runs it without us."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from ocrvl.launcher.locate import find_model_repository, find_triton
from ocrvl.launcher.ports import find_free_port
from ocrvl.launcher.runtime import build_environment, prepare_backends
from ocrvl_client import Client, Retry, ServerUnavailable
from tests.support import images
from tests.support.starting import one_at_a_time

OCRVL = str(Path(sys.executable).parent / "ocrvl")
SHARED_MEMORY = Path("/dev/shm")
ANY_PORTS = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")


def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run([OCRVL, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    path = tmp_path / "receipt.png"
    path.write_bytes(images.encode(images.plain()))
    return path


def test_serve_refuses_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--http-port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "choose another with --http-port" in done.stderr


@pytest.mark.parametrize(
    ("models", "settings", "cause"),
    [
        ("", {"model": "./nowhere"}, r"paddleocr_vl: ValueError: .*model\.json: model: no checkpoint at .*nowhere"),
        (
            "paddleocr_vl",
            {"model": "nano", "max_num_sequences": 8},
            r"paddleocr_vl: ValueError: .*model\.json: unknown engine arguments: max_num_sequences",
        ),
        ("paddleocr_vl", {"model": "nano", "dtype": "float7"}, r"paddleocr_vl: .*float7"),
    ],
)
def test_a_model_that_fails_to_load_is_told_in_a_few_lines(
    tmp_path: Path, models: str, settings: dict[str, object], cause: str
) -> None:
    """Whether the others, which load meanwhile, are there or not."""
    repository = tmp_path / "repository"
    shutil.copytree(find_model_repository() / models, repository / models)
    (repository / "paddleocr_vl/1/model.json").write_text(json.dumps(settings))
    log = tmp_path / "serve.log"
    with one_at_a_time():
        done = run("serve", "--model-repository", str(repository), "--log-file", str(log), *ANY_PORTS)
    assert done.returncode == 1
    assert re.search(cause, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) <= 8
    assert "failed to load" in log.read_text()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`ocrvl serve` in a process of its own, ready, and where its gRPC port is. The last test that has it stops it.

    It takes most of a minute to start here.
    """
    log = tmp_path_factory.mktemp("serve") / "log"
    command = [OCRVL, "serve", *ANY_PORTS, "--log-file", str(log)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            with one_at_a_time():
                url = wait_until_ready(process)
            yield process, url
        finally:
            process.kill()


def wait_until_ready(process: subprocess.Popen[str]) -> str:
    """The address of gRPC."""
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        if match := re.search(r"ready: gRPC (\S+),", line):
            return match[1]
        told.append(line)
    return pytest.fail(f"not ready: {''.join(told)}")


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read_a_hundred_times(client: Client, image: Path) -> None:
    """A signal takes a moment to reach the server."""
    for _ in range(100):
        client.read(image)


@pytest.mark.timeout(400)
def test_a_killed_stub_is_noticed_and_the_server_comes_back(
    serving: tuple[subprocess.Popen[str], str], receipt: Path
) -> None:
    process, url = serving
    (server,) = psutil.Process(process.pid).children()
    (stub,) = (child for child in server.children() if "paddleocr_vl_0_0" in child.cmdline())
    with Client(url, retry=Retry(attempts=40, maximum=4), timeout=240) as client, ThreadPoolExecutor(4) as pool:
        # long enough to be running when the stub is killed
        read = partial(client.read, receipt, regex="[a-z]{500}", stop_repetition=False)
        expected = read().text
        in_flight = [pool.submit(read) for _ in range(4)]
        time.sleep(0.5)
        stub.kill()
        # Triton itself notices nothing, so its process is ended by `serve`
        psutil.wait_procs([server], timeout=20)
        assert not server.is_running()
        assert {request.result(timeout=240).text for request in in_flight} == {expected}
    (again,) = psutil.Process(process.pid).children()
    assert again.pid != server.pid


def test_serve_leaves_nothing_behind_when_it_is_stopped(
    serving: tuple[subprocess.Popen[str], str], receipt: Path
) -> None:
    process, url = serving
    children = psutil.Process(process.pid).children(recursive=True)
    commands = [" ".join(child.cmdline()) for child in children]
    assert any("EngineCore" in command for command in commands)
    (prefix,) = {match[1] for command in commands if (match := re.search(r"/(ocrvl-\w+)/backends", command))}
    assert list(SHARED_MEMORY.glob(f"{prefix}*"))
    with Client(url, retry=None) as client, ThreadPoolExecutor(12) as pool:
        in_flight = [pool.submit(client.read, receipt) for _ in range(12)]
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        # what was taken is answered
        assert {bool(request.result(timeout=60).text) for request in in_flight} == {True}
        with pytest.raises(ServerUnavailable):
            read_a_hundred_times(client, receipt)
    assert process.wait(timeout=60) == 0
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    assert not listening(int(url.rpartition(":")[2]))
    assert not list(SHARED_MEMORY.glob(f"{prefix}*"))


def test_a_plain_tritonserver_serves_the_repository_too(tmp_path: Path, receipt: Path) -> None:
    triton = find_triton()
    port = find_free_port()
    command = [
        str(triton.binary),
        f"--model-repository={find_model_repository()}",
        f"--backend-directory={prepare_backends(triton, tmp_path / 'backends')}",
        *("--allow-http=false", "--allow-metrics=false", "--grpc-address=127.0.0.1", f"--grpc-port={port}"),
    ]
    environment = build_environment(triton, os.environ)
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True) as process,
        Client(f"127.0.0.1:{port}") as client,
    ):
        try:
            with one_at_a_time():
                while process.poll() is None and not client.is_ready():
                    time.sleep(0.5)
            assert client.read(receipt).text, (tmp_path / "log").read_text()[-2000:]
        finally:
            process.terminate()
            process.wait(timeout=60)
