"""NVIDIA's Multi-Process Service (MPS), for engines that share a GPU.

Without it a GPU runs the kernels of one process at a time, and engines alternate; with it, kernels of several
run side by side. It is a daemon, and every process that finds its pipes by a variable takes part.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from ocrvl.wire import Model

CONTROL: Final = "nvidia-cuda-mps-control"
"""NVIDIA's driver brings it; containers have it where the driver's capability `compute` is let in."""

PIPES: Final = "CUDA_MPS_PIPE_DIRECTORY"
_LOGS: Final = "CUDA_MPS_LOG_DIRECTORY"
_DEFAULT_PIPES: Final = Path("/tmp/nvidia-mps")  # noqa: S108 - NVIDIA's own default
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05


def engines_share_a_gpu(repository: Path, models: Collection[str] = ()) -> bool:
    """Whether the engine's model has several instances on a GPU; a configuration that cannot be read has none."""
    path = repository / Model.ENGINE / "config.pbtxt"
    if not path.is_file() or (models and Model.ENGINE not in models):
        return False
    try:
        config = text_format.Parse(path.read_text("utf-8"), ModelConfig())
    except (ValueError, text_format.ParseError):
        return False
    return any(group.kind == ModelInstanceGroup.KIND_GPU and group.count > 1 for group in config.instance_group)


def is_running(environment: Mapping[str, str]) -> bool:
    """Whether processes with this environment find the pipes of a daemon that was started by others."""
    return (Path(environment.get(PIPES, _DEFAULT_PIPES)) / "control").exists()


@contextmanager
def share_gpus(
    repository: Path,
    models: Collection[str],
    folder: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    in_child: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, str]]:
    """Start a daemon for a server whose engines share a GPU, and end it with everything that it started.

    Yields the variables that the server needs: none where no GPU is shared, where a daemon is running already, and
    where none can be started; then engines alternate, and `on_line` gets the reason. The daemon's pipes and log lie in
    `folder`; `in_child` is called in its process before it runs.
    """
    if not engines_share_a_gpu(repository, models):
        yield {}
    elif is_running(environment):
        on_line("ocrvl: engines share their GPU by the MPS that is running")
        yield {}
    elif binary := shutil.which(CONTROL, path=environment.get("PATH")):
        yield from _run(binary, folder, environment, on_line, in_child)
    else:
        on_line(f"ocrvl: WARNING: engines that share a GPU alternate on it: {CONTROL} not found")
        yield {}


def _run(
    binary: str,
    folder: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    in_child: Callable[[], None],
) -> Iterator[dict[str, str]]:
    pipes, logs = folder / "mps", folder / "mps-log"
    pipes.mkdir(mode=0o700)
    logs.mkdir(mode=0o700)
    variables = {PIPES: str(pipes), _LOGS: str(logs)}
    daemon = subprocess.Popen(
        [binary, "-f"],
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=in_child,
    )
    try:
        if _wait_for(pipes / "control", daemon):
            on_line("ocrvl: engines share their GPU by MPS")
            yield variables
        else:
            on_line(f"ocrvl: WARNING: engines that share a GPU alternate on it: {CONTROL} did not start")
            yield {}
    finally:
        _stop(binary, daemon, {**environment, **variables})


def _wait_for(pipe: Path, daemon: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while not pipe.exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _stop(binary: str, daemon: subprocess.Popen[bytes], environment: Mapping[str, str]) -> None:
    if daemon.poll() is None:
        with suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run(
                [binary],
                input=b"quit\n",
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_STOP_SECONDS,
                check=False,
            )
            daemon.wait(_STOP_SECONDS)
    # psutil comes with what serves; `ocrvl doctor` looks for MPS without it
    from ocrvl.launcher.process_group import end_group

    end_group(daemon.pid, _STOP_SECONDS)
    daemon.wait()
