"""Runs the steps of a Dockerfile without Docker, in a folder that stands in for the base image, as root.

    python -m tools.try_image Dockerfile.cpu --base ROOT --serve
    python -m tools.try_image Dockerfile --base ROOT --given numpy==2.2.6 …

ROOT is a system with Python, from debootstrap for example (docs/deploying.md). Each stage is a copy of it, each RUN a
chroot. `--serve` then starts what the image starts, as its user and with a root that is read-only, waits for its
health check, and reads an image. What this cannot show: the real base image, GPUs, Docker's own handling.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

_WRITABLE: Final = ("/tmp", "/cache", "/models", "/repository", "/dev/shm")  # noqa: S108 - paths inside the image
_PATH: Final = "/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HEALTHY_SECONDS: Final = 300.0


@dataclass
class Stage:
    """A stage of the build: its files, and what its instructions have set so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, command: list[str]) -> None:
        """Run a command in the stage. Raises `CalledProcessError`."""
        inside = ["env", "--chdir", self.folder, *command]
        environment = {**self.environment, **self.arguments, **_passed_on()}
        subprocess.run(["/usr/sbin/chroot", f"--userspec={self.user}", self.root, *inside], env=environment, check=True)


def main(
    dockerfile: Annotated[Path, typer.Argument(help="The Dockerfile; its context is the working directory.")],
    base: Annotated[Path, typer.Option(help="A root with Python in /opt/python.")],
    given: Annotated[list[str] | None, typer.Option(help="A package that the real base image has; repeatable.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Start the result and read an image with it.")] = False,
) -> None:
    """Build in a temporary folder, and remove it."""
    if os.geteuid() != 0:
        raise typer.BadParameter("expected root, for chroot and mounts")
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        stage = build(dockerfile, base, Path(folder), given or [])
        stage.user = stage.user if serve else "10001:10001"
        stage.run(["ocrvl", "--help"])
        stage.run(["python3", "-c", "from ocrvl.launcher.locate import find_model_repository as f; print(f())"])
        if serve:
            run_image(stage)
    print("all steps ran")


def build(dockerfile: Path, base: Path, folder: Path, given: list[str]) -> Stage:
    """Every stage in turn; the last."""
    stages: dict[str, Stage] = {}
    defaults: dict[str, str] = {}
    stage = None
    for name, rest in read_instructions(dockerfile):
        print(f"--- {name} {rest[:100]}", flush=True)
        if name == "FROM":
            label = rest.split()[-1] if " AS " in rest else f"stage{len(stages)}"
            stage = stages[label] = Stage(folder / label)
            subprocess.run(["/bin/cp", "--archive", base, stage.root], check=True)
            if given:
                stage.run(["pip", "install", "--quiet", *given])
        elif stage is None:
            key, _, value = rest.partition("=")
            defaults[key] = value
        else:
            _do(stage, stages, name, rest)
    assert stage is not None
    return stage


def read_instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Instruction and arguments, without comments, continued lines put together."""
    lines = [line for line in dockerfile.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined)]


def _do(stage: Stage, stages: dict[str, Stage], name: str, rest: str) -> None:
    match name:
        case "ARG":
            key, _, value = rest.partition("=")
            stage.arguments[key] = value
        case "ENV":
            stage.environment |= dict(word.split("=", 1) for word in shlex.split(rest))
        case "WORKDIR":
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            stage.folder = rest
        case "USER":
            stage.user = rest if ":" in rest else f"{rest}:{rest}"
        case "COPY":
            _copy(stage, stages, rest.split())
        case "RUN":
            stage.run(["sh", "-e", "-c", rest])
        case "LABEL" | "VOLUME" | "EXPOSE":
            pass
        case "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
            stage.settings[name] = rest.partition("CMD ")[2] or rest
        case _:
            raise ValueError(f"{name} is an instruction that this does not know")


def _copy(stage: Stage, stages: dict[str, Stage], words: list[str]) -> None:
    origin = Path()
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).partition("=")[2]].root
    *sources, target = words
    to = stage.root / (target if target.startswith("/") else f"{stage.folder}/{target}").lstrip("/")
    for source in sources:
        path = origin / source.lstrip("/")
        if path.is_dir():
            shutil.copytree(path, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            into = to / path.name if target.endswith("/") else to
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, into)


def run_image(stage: Stage) -> None:
    """Start the image's command with a read-only root, wait for its health check, read an image, stop it."""
    ports = {"http": 18_000, "grpc": 18_001, "metrics": 18_002}
    entry = json.loads(stage.settings["ENTRYPOINT"])
    options = [f"--{name}-port={port}" for name, port in ports.items()]
    command = [*entry, "serve", "--host=127.0.0.1", "--log-file=/tmp/serve.log", *options]
    # mounts of a namespace of its own, which are gone with its last process
    mounts = [f"mount --bind {stage.root} {stage.root}", f"mount -t proc proc {stage.root}/proc"]
    mounts += [f"mount --rbind /{name} {stage.root}/{name}" for name in ("dev", "sys")]
    mounts += [f"mount -o remount,bind,ro {stage.root}"]
    mounts += [f"mount -t tmpfs -o mode=1777 tmpfs {stage.root}{path}" for path in _WRITABLE]
    inside = shlex.join(["chroot", f"--userspec={stage.user}", str(stage.root), *command])
    server = subprocess.Popen(
        ["/usr/bin/unshare", "--mount", "sh", "-e", "-c", "; ".join([*mounts, f"exec {inside}"])], env=stage.environment
    )
    try:
        _wait_until_healthy(stage, server, ports)
        from ocrvl_client import Client
        from tests.support import images

        with Client(f"127.0.0.1:{ports['grpc']}") as client:
            print("read:", client.read(images.encode(images.plain())).text)
    finally:
        server.terminate()
        print("ended with", server.wait(timeout=120))


def _wait_until_healthy(stage: Stage, server: subprocess.Popen[bytes], ports: dict[str, int]) -> None:
    addresses = [f"--url=127.0.0.1:{ports['http']}", f"--metrics-url=127.0.0.1:{ports['metrics']}"]
    check = Stage(stage.root, stage.environment, {}, "/", stage.user)
    command = [*json.loads(stage.settings["HEALTHCHECK"]), *addresses]
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"it ended with {server.returncode} before it was healthy")
        try:
            check.run(command)
            return
        except subprocess.CalledProcessError:
            time.sleep(2)
    raise SystemExit("it never became healthy")


def _passed_on() -> dict[str, str]:
    """What pip and apt need to reach an index from here."""
    wanted = ("PIP_", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT", "REQUESTS_CA")
    return {name: value for name, value in os.environ.items() if name.startswith(wanted)}


if __name__ == "__main__":
    typer.run(main)
