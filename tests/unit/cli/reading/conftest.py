"""Folders of inputs and for results."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Twenty images in a folder."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.png").write_bytes(f"text {number}".encode())
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
