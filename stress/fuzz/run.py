"""A target in a child process for some seconds, and what libFuzzer said of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stress.fuzz.target import Target, load_target

_NICE: Final = 19
_TIMEOUT_SECONDS: Final = 30
"""What one input may take before it is a finding: the machine may be busy with other things."""

_MEMORY_MIB: Final = 3072
_EXECUTED: Final = re.compile(rb"^stat::number_of_executed_units: *(\d+)", re.MULTILINE)
_COVERAGE: Final = re.compile(rb"cov: (\d+) ft: (\d+) corp: (\d+)")
_RAISED: Final = re.compile(rb"=== Uncaught Python exception: ===\n(.*)")
_ENDED: Final = re.compile(rb"ERROR: libFuzzer: (.*)")


@dataclass(frozen=True)
class Outcome:
    """What came of a target.

    Of `executed` inputs `kept` reached something new. `branches` of Python's code were passed; `features` count them by
    how often as well. `finding` is empty where nothing was found, `artifact` else the input that did it.
    """

    name: str
    seconds: float
    executed: int
    branches: int
    features: int
    kept: int
    finding: str
    artifact: Path | None


def fuzz(name: str, seconds: int, folder: Path) -> Outcome:
    """Fuzz one target with the lowest priority; `folder` takes its corpus, findings and log."""
    corpus, log = folder / name, folder / f"{name}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    target = load_target(name)
    _write_seeds(target, corpus)
    words = folder / f"{name}.dict"
    words.write_text("".join(f'"{_escape(word)}"\n' for word in target.words), "ascii")
    prefix = folder / f"{name}-"
    command = [
        *(sys.executable, "-m", "stress.fuzz.harness", name),
        *(f"-max_total_time={seconds}", f"-timeout={_TIMEOUT_SECONDS}", f"-rss_limit_mb={_MEMORY_MIB}"),
        *(f"-max_len={target.max_bytes}", f"-artifact_prefix={prefix}", *([f"-dict={words}"] if target.words else [])),
        *("-print_final_stats=1", str(corpus)),
    ]
    began = time.monotonic()
    with log.open("wb") as output:
        subprocess.run(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, preexec_fn=lambda: os.nice(_NICE)
        )
    return _read_log(name, time.monotonic() - began, log.read_bytes(), prefix)


def _write_seeds(target: Target, corpus: Path) -> None:
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)


def _escape(word: str) -> str:
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word.encode("utf-8")
    )


def _read_log(name: str, seconds: float, text: bytes, prefix: Path) -> Outcome:
    executed = _EXECUTED.search(text)
    branches, features, kept = map(int, (_COVERAGE.findall(text) or [(0, 0, 0)])[-1])
    finding = (_RAISED.search(text) or _ENDED.search(text)) if not executed or b"Test unit written" in text else None
    told = finding[1].decode("utf-8", "replace") if finding else "" if executed else "it did not run, see its log"
    written = re.findall(rb"Test unit written to (.*)", text)
    artifact = Path(written[-1].decode()) if written and str(prefix) in written[-1].decode() else None
    return Outcome(name, seconds, int(executed[1]) if executed else 0, branches, features, kept, told, artifact)
