"""`ocrvl.local_keys`: what only this user finds."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from ocrvl.local_keys import GRPC_PREFIX, KEY_HEADER, private_folder, read_key, remove_key, write_key
from ocrvl_client import Endpoint


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_key_is_found_by_the_port_until_it_is_removed() -> None:
    key = write_key(8000, 8001)
    assert (read_key(8000), read_key(8001), read_key(8002)) == (key, key, None)
    remove_key(key, 8000, 8001)
    assert (read_key(8000), read_key(8001)) == (None, None)


def test_a_later_server_s_key_is_not_removed_by_an_earlier_one() -> None:
    earlier, later = write_key(8001), write_key(8001)
    remove_key(earlier, 8001)
    assert read_key(8001) == later != earlier


def test_nobody_else_can_read_a_key(tmp_path: Path) -> None:
    write_key(8001)
    (folder,) = tmp_path.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())] == [0o700, 0o600]


def test_a_folder_that_others_can_enter_is_not_used(tmp_path: Path) -> None:
    private_folder("ocrvl-keys").chmod(0o755)
    with pytest.raises(OSError, match="is not this user's alone"):
        write_key(8001)
    assert read_key(8001) is None


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "localhost:8001", "[::1]:8001"])
def test_the_client_sends_the_key_of_a_server_on_this_machine(url: str) -> None:
    key = write_key(8001)
    headers = Endpoint(url, headers={"a": "b"}).shared_memory_headers
    assert headers == {"a": "b", KEY_HEADER: key, GRPC_PREFIX + KEY_HEADER: key}


def test_the_client_sends_no_key_to_another_machine_and_none_where_there_is_none() -> None:
    assert Endpoint("localhost:8001").shared_memory_headers == {}
    write_key(8001)
    assert Endpoint("10.0.0.7:8001").shared_memory_headers == {}
