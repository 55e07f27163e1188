"""`ocrvl.triton.shared_memory`: a full `/dev/shm` is a refusal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ocrvl.errors import Unavailable
from ocrvl.triton.shared_memory import check_shared_memory


@pytest.fixture
def region(tmp_path: Path) -> Path:
    region = tmp_path / "region"
    region.write_bytes(bytes(1000))
    return region


def free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def test_what_a_region_would_have_to_grow_for_and_nothing_has_room_for_is_refused(tmp_path: Path, region: Path) -> None:
    with pytest.raises(Unavailable, match="/dev/shm has no space for"):
        check_shared_memory(2 * free(tmp_path) + 10**12, tmp_path, region)


def test_what_fits_into_the_region_or_into_what_is_free_is_let_through(tmp_path: Path, region: Path) -> None:
    beyond = free(tmp_path) + 10**9
    os.truncate(region, beyond)
    check_shared_memory(beyond, tmp_path, region)
    os.truncate(region, 1)
    check_shared_memory(1000, tmp_path, region)


def test_where_nothing_is_known_nothing_is_refused(tmp_path: Path) -> None:
    check_shared_memory(2**60, tmp_path / "missing", tmp_path / "missing")
    check_shared_memory(2**60)
