"""Debian's packages unpacked without being installed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def unpacked(packages: Sequence[str]) -> Iterator[Path]:
    """A temporary folder with a folder for each package: `apt-get download` and `dpkg -x`, as any user may."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "deb").mkdir()
        command = ["apt-get", "-qq", "download", "-o", "APT::Sandbox::User=root", *packages]
        subprocess.run(command, cwd=folder / "deb", check=True)
        for archive in sorted((folder / "deb").glob("*.deb")):
            target = folder / archive.name.partition("_")[0]
            subprocess.run(["dpkg", "-x", str(archive), str(target)], check=True)  # noqa: S607 - Debian's own
        yield folder
