"""`ocrvl.control_channel.address`: processes of one server find one folder, and nobody else's is left or let in."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ocrvl.control_channel.address import find_sockets, socket_path

_STUB = [
    sys.executable,
    "-c",
    "from ocrvl.control_channel.address import channel_folder; print(channel_folder(), flush=True)",
]
"""What a stub does: a child of its server, it asks for the folder."""


def start(command: list[str], temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stub_s_folder(temporary: Path) -> Path:
    """The folder that a stub finds whose server is this very process."""
    out, error = start(_STUB, temporary).communicate()
    assert out, error
    return Path(out.strip())


def home(temporary: Path) -> Path:
    return temporary / f"ocrvl-channels-{os.geteuid()}"


def test_all_stubs_of_a_server_find_one_folder_that_is_theirs_alone(tmp_path: Path) -> None:
    folder = stub_s_folder(tmp_path)
    assert stub_s_folder(tmp_path) == folder
    assert folder.parent == home(tmp_path)
    assert folder.name.startswith(f"{os.getpid()}-")
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o700, 0o700]


def test_folders_of_servers_that_are_gone_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    # a shell is the server of a stub, until its input ends
    server = start(["sh", "-c", f"{shlex.join(_STUB)}; read line"], tmp_path)
    assert server.stdout is not None
    other = Path(server.stdout.readline().strip())
    (other / "paddleocr_vl_0_0.sock").touch()
    ours = stub_s_folder(tmp_path)
    assert other != ours
    assert other.is_dir()
    server.communicate()
    assert stub_s_folder(tmp_path) == ours
    assert not other.exists()


def test_a_process_that_has_a_dead_server_s_number_does_not_keep_its_folder(tmp_path: Path) -> None:
    ours = stub_s_folder(tmp_path)
    earlier = ours.with_name(f"{os.getpid()}-1")
    earlier.mkdir()
    assert stub_s_folder(tmp_path) == ours
    assert not earlier.exists()


def test_what_is_no_server_s_folder_is_left_alone(tmp_path: Path) -> None:
    ours = stub_s_folder(tmp_path)
    (ours.parent / "notes").mkdir()
    assert stub_s_folder(tmp_path) == ours
    assert (ours.parent / "notes").is_dir()


@pytest.mark.parametrize("kind", ["readable", "link"])
def test_a_folder_that_others_could_reach_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "readable":
        home(tmp_path).mkdir()
        home(tmp_path).chmod(0o755)
    else:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        home(tmp_path).symlink_to(elsewhere)
    out, error = start(_STUB, tmp_path).communicate()
    assert out == ""
    assert "is not this user's alone" in error


def test_a_socket_is_found_by_the_name_of_its_engine(tmp_path: Path) -> None:
    assert find_sockets(tmp_path / "not there") == {}
    (tmp_path / "notes.txt").touch()
    path = socket_path(tmp_path, "paddleocr_vl_0_0")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        assert find_sockets(tmp_path) == {"paddleocr_vl_0_0": path}


def test_a_path_that_is_too_long_for_a_socket_is_refused_with_what_to_change(tmp_path: Path) -> None:
    room = 107 - len(os.fsencode(tmp_path)) - len("/.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(socket_path(tmp_path, "x" * room)))
    with pytest.raises(OSError, match="set TMPDIR to a shorter folder"):
        socket_path(tmp_path, "x" * (room + 1))
