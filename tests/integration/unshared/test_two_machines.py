"""An engine over two machines, by vLLM's own multiprocessing: here two groups of processes on one CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocrvl.launcher.interfaces import Interface
from ocrvl.launcher.ports import find_free_port
from ocrvl.repository.make import make_repository
from ocrvl.repository.options import Device, RepositoryOptions
from ocrvl_client import Client
from perf.harness.server import server_options
from tests.support.starting import start_server

ON_LOOPBACK = {"VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}


@pytest.mark.timeout(400)
def test_it_reads_and_ends_as_one(tmp_path: Path, png: bytes) -> None:
    spanning = {
        "tensor_parallel_size": 2,
        "nnodes": 2,
        "master_addr": "127.0.0.1",
        "master_port": find_free_port(),
        "distributed_executor_backend": "mp",
    }
    words = tuple(f"{name}={value}" for name, value in spanning.items())
    options = RepositoryOptions("nano", Device.CPU, interfaces=(Interface.UNARY,), max_num_seqs=4, engine_args=words)
    make_repository(tmp_path / "repository", options)
    command = [
        sys.executable,
        "-m",
        "ocrvl.models.engine.headless_worker",
        str(tmp_path / "repository/paddleocr_vl/1/model.json"),
    ]
    environment = {**os.environ, **ON_LOOPBACK, "VLLM_CPU_OMP_THREADS_BIND": "1"}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen([*command, "--node-rank=1"], env=environment, stdout=log, stderr=log) as follower,
    ):
        try:
            pinned = {**ON_LOOPBACK, "VLLM_CPU_OMP_THREADS_BIND": "0"}
            with start_server(server_options(tmp_path / "repository", environment=pinned)) as running:
                with Client(running.grpc_url) as client:
                    assert client.read(png).text == "Soup of the day"
                assert follower.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert follower.wait(timeout=60) == 1
        finally:
            follower.kill()
