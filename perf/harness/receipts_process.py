"""`ocrvl receipts worker` and `front` as child processes, as an operator runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from ocrvl_client.metrics import HttpFetch, Sample, parse_samples
from ocrvl_receipts.settings import StoreSettings, WorkerSettings
from perf.harness.children import ending_with_us
from perf.harness.receipts import STORE_KEYS

_LISTENING: Final = re.compile(r"http://([\d.]+):(\d+)")
_START_SECONDS: Final = 60.0


@dataclass
class PipelineProcess:
    """A part of the pipeline. Entering starts it and waits until it listens, leaving stops it; `folder` takes its log.

    Settings that are the defaults are left to the command.
    """

    settings: StoreSettings
    folder: Path
    name: str
    process: subprocess.Popen[bytes] = field(init=False)
    address: tuple[str, int] = field(init=False)
    """Where its metrics are, and of a front end the rest as well."""

    def __enter__(self) -> PipelineProcess:
        is_worker = isinstance(self.settings, WorkerSettings)
        port = "--metrics-port=0" if is_worker else "--port=0"
        values = self.settings.model_dump(exclude_defaults=True, exclude={"metrics_port", "port"})
        arguments = [
            f"--{name.replace('_', '-')}={','.join(map(str, value)) if isinstance(value, list) else value}"
            for name, value in values.items()
        ]
        command = [str(Path(sys.executable).parent / "ocrvl"), "receipts", "worker" if is_worker else "front", port]
        log = self.folder / f"{self.name}.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the command of this project
                ending_with_us([*command, *arguments]),
                env={**os.environ, **STORE_KEYS},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            wait_for(lambda: bool(_LISTENING.search(log.read_text("utf-8"))), _START_SECONDS, f"{self.name} to start")
        except BaseException:
            self.kill()
            raise
        host, number = _LISTENING.findall(log.read_text("utf-8"))[-1]
        self.address = host, int(number)
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.kill()

    def kill(self) -> None:
        """End it as a lost machine does."""
        self.process.kill()
        self.process.wait()

    def partitions(self) -> set[int]:
        """The partitions of `todo` that a worker has."""
        lags = (one.labels for one in self.samples() if one.name == "ocrvl_pipeline_lag")
        return {int(labels["partition"]) for labels in lags if labels["topic"] == self.settings.todo}

    def samples(self) -> list[Sample]:
        """Its metrics now; none where it cannot be asked."""
        with suppress(OSError):
            return list(parse_samples(HttpFetch(*self.address)("/metrics", 5).text))
        return []

    def log(self) -> str:
        """What it has written."""
        return (self.folder / f"{self.name}.log").read_text("utf-8")

    def memory(self) -> int:
        """Its resident bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition. Raises `RuntimeError` that says for what."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)
