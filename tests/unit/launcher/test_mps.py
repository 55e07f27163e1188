"""`ocrvl.launcher.mps`: a daemon is started for engines that share a GPU, and ended with what it started."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from ocrvl.launcher import mps
from ocrvl.launcher.mps import CONTROL, PIPES, engines_share_a_gpu, is_running, share_gpus
from ocrvl.launcher.process_group import is_alive
from ocrvl.repository.make import make_repository
from ocrvl.repository.options import Device, RepositoryOptions
from ocrvl.wire import Model

DAEMON = """#!/bin/sh
pid=$CUDA_MPS_PIPE_DIRECTORY/pid
if [ "$1" = -f ]; then
  echo $$ >"$pid"
  sleep 1000 &
  mkfifo "$CUDA_MPS_PIPE_DIRECTORY/control"
  wait
elif read -r word && [ "$word" = quit ]; then
  kill "$(cat "$pid")"
fi
"""
"""What NVIDIA's does, as far as it is asked: it stays, has a pipe and a process of its own, and ends when told to."""


def render(folder: Path, engines: int) -> Path:
    make_repository(folder, RepositoryOptions(checkpoint="nano", device=Device.GPU, gpus=(0,), engines=engines))
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One whose engines share a GPU."""
    return render(tmp_path / "repository", 2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder; what this machine may have of MPS is not looked at."""
    monkeypatch.setattr(mps, "_DEFAULT_PIPES", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def environment(tmp_path: Path, script: str = DAEMON) -> dict[str, str]:
    path = tmp_path / "bin" / CONTROL
    path.parent.mkdir()
    path.write_text(script)
    path.chmod(0o755)
    return {"PATH": f"{path.parent}:{os.environ['PATH']}"}


def test_engines_share_a_gpu_where_there_are_several_on_it(tmp_path: Path, repository: Path) -> None:
    assert engines_share_a_gpu(repository)
    assert engines_share_a_gpu(repository, [Model.ENGINE])
    assert not engines_share_a_gpu(repository, [Model.LAYOUT])
    assert not engines_share_a_gpu(render(tmp_path / "alone", 1))
    assert not engines_share_a_gpu(tmp_path / "nothing")
    (repository / Model.ENGINE / "config.pbtxt").write_text("no { protobuf")
    assert not engines_share_a_gpu(repository)


def test_a_daemon_runs_for_the_server_and_is_ended_with_what_it_started(
    tmp_path: Path, repository: Path, folder: Path
) -> None:
    said: list[str] = []
    with share_gpus(repository, (), folder, environment(tmp_path), said.append) as variables:
        pipes = Path(variables[PIPES])
        assert is_running(variables)
        assert pipes.stat().st_mode & 0o777 == 0o700
        daemon = psutil.Process(int((pipes / "pid").read_text()))
        (server,) = [child for child in daemon.children() if child.name() == "sleep"]
    assert not is_alive(daemon)
    assert not is_alive(server)
    assert said == ["ocrvl: engines share their GPU by MPS"]


def test_an_engine_that_has_its_gpu_alone_has_no_daemon(tmp_path: Path, folder: Path) -> None:
    said: list[str] = []
    alone = render(tmp_path / "alone", 1)
    with share_gpus(alone, (), folder, environment(tmp_path), said.append) as variables:
        assert variables == {}
    assert said == []


def test_a_daemon_that_is_there_is_used_and_stays(tmp_path: Path, repository: Path, folder: Path) -> None:
    said: list[str] = []
    (folder / "control").touch()
    known = {**environment(tmp_path), PIPES: str(folder)}
    with share_gpus(repository, (), tmp_path, known, said.append) as variables:
        assert variables == {}
    assert is_running(known)
    assert said == ["ocrvl: engines share their GPU by the MPS that is running"]


@pytest.mark.parametrize(("script", "why"), [(None, "not found"), ("#!/bin/sh\nexit 1\n", "did not start")])
def test_without_a_daemon_engines_alternate_and_the_log_says_so(
    tmp_path: Path, repository: Path, folder: Path, script: str | None, why: str
) -> None:
    said: list[str] = []
    known = {"PATH": ""} if script is None else environment(tmp_path, script)
    with share_gpus(repository, (), folder, known, said.append) as variables:
        assert variables == {}
    assert said == [f"ocrvl: WARNING: engines that share a GPU alternate on it: {CONTROL} {why}"]
