"""A disk that fills, and memory that does not suffice."""

from __future__ import annotations

import io
import os
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
from PIL import Image

from ocrvl.wire import Model
from perf.harness.serve_process import Role
from perf.harness.tensors import image_tensors
from stress.hostile.attack import Attack
from stress.hostile.attack_context import AttackContext, count_answers, read_request, request

_FILLER: Final = "filler"
_DISK_MIB: Final = 64
_READS: Final = 60
_ID_BYTES: Final = 4096

_HEADROOM: Final = 192 * 2**20
"""Bytes that a process of `preprocess` may still take: an image of 99 megapixels needs 300 MB."""


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[str, ...]]:
    """A small disk at `folder`, for the server's log and all it makes in `TMPDIR`; the words before its command."""
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "tmpfs", str(folder)], check=True)
    try:
        yield ("env", f"TMPDIR={folder}")
    finally:
        # lazily, since what a killed process leaves may still be open
        subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def _fill_disk(context: AttackContext) -> Counter[str]:
    """Fill the disk to the last byte, read, free it, read."""
    log = context.folder / "serve.log"
    counts: Counter[str] = Counter()
    filler = os.open(context.folder / _FILLER, os.O_WRONLY | os.O_CREAT)
    try:
        with suppress(OSError):
            while True:
                os.write(filler, bytes(4096))
        size = log.stat().st_size
        counts["bytes free"] = os.statvfs(context.folder).f_bavail
        counts += _send_many(context, "on a full disk")
        counts["bytes of log meanwhile"] = log.stat().st_size - size
    finally:
        os.close(filler)
        (context.folder / _FILLER).unlink()
    size = log.stat().st_size
    counts += _send_many(context, "once it is free again")
    counts["log goes on" if log.stat().st_size > size else "log goes on no more, INTERNAL"] = 1
    return counts


def _send_many(context: AttackContext, when: str) -> Counter[str]:
    """Requests whose lines in the log would fill a pipe of 64 KiB several times, were nobody to read it."""
    message = read_request(context.image.data)
    message.id = "i" * _ID_BYTES
    return count_answers([message] * _READS, lambda asked: f"{context.infer(asked)} {when}")


def _limit_memory(context: AttackContext) -> Counter[str]:
    """Let the processes of `preprocess` have hardly more memory than they use, and send them large images."""
    stubs = [
        member.process for member in context.members() if member.role is Role.STUB and Model.PREPROCESS in member.name
    ]
    before = {process: psutil.Process(process.pid).rlimit(resource.RLIMIT_AS) for process in stubs}
    for process in stubs:
        process.rlimit(resource.RLIMIT_AS, (process.memory_info().vms + _HEADROOM, before[process][1]))
    try:
        buffer = io.BytesIO()
        Image.new("RGB", (9_900, 9_990), "white").save(buffer, "PNG", compress_level=1)
        large = request(Model.OCR, image_tensors(buffer.getvalue(), task="ocr", max_tokens=2))
        small = request(Model.OCR, image_tensors(context.image.data, task="ocr"))
        return count_answers([large, small] * 3, context.infer)
    finally:
        for process in stubs:
            process.rlimit(resource.RLIMIT_AS, before[process])


DISK: Final = Attack(
    "a full disk",
    f"{2 * _READS} requests with the disk of log and TMPDIR full, and free again",
    _fill_disk,
    keeps_log=False,
)
MEMORY: Final = Attack(
    "too little memory", "images of 300 MB where 192 MiB are left (RLIMIT_AS), and small ones", _limit_memory
)


def why_not_run(attack: Attack) -> str:
    """Why an attack cannot be run on this machine, empty where it can."""
    if attack is DISK and os.geteuid() != 0:
        return "only root may mount a small disk"
    return ""
