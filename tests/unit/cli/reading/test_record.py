"""Results of `ocrvl read` as files: their names, what the next run goes on from, and that none is a half."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from ocrvl_cli.reading.errors import Exit, InputError, OutputError, RunAborted
from ocrvl_cli.reading.output_files import check_name, remove_files, write_file
from ocrvl_cli.reading.record import FILE_NAME, Record, modified_at
from ocrvl_cli.reading.sources import Input


def named(*names: str) -> list[Input]:
    """Inputs with these targets, each another file."""
    return [Input(name, f"/{number}/{name}", PurePosixPath(name)) for number, name in enumerate(names)]


def names_of(folder: Path, inputs: Sequence[Input]) -> list[str]:
    with Record(folder) as record:
        return [record.target_of(one) for one in inputs]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/scan.png", "b/scan.png"], ["a/scan", "b/scan"]),
        (["scan.png", "scan.pdf"], ["scan", "scan.pdf"]),
        (["scan.png", "scan.png", "scan.png"], ["scan", "scan.png", "scan.png-2"]),
        # a disk may not tell them apart
        (["Scan.png", "scan.PNG"], ["Scan", "scan.PNG"]),
        # a document's files are scan/scan.md and so on
        (["scan.pdf", "scan/scan.png"], ["scan", "scan/scan.png"]),
        (["stdin"], ["stdin"]),
        # nor what looks the same: é as one character, and as two
        (["\u00e9.png", "e\u0301.png"], ["\u00e9", "e\u0301.png"]),
        # a result has a longer suffix than its input
        (["n" * 251 + ".png", "n" * 251 + ".pdf"], ["n" * 244, "n" * 242 + "-2"]),
        (["\u4e2d" * 84 + ".png"], ["\u4e2d" * 81]),
    ],
)
def test_no_two_inputs_have_the_same_name_for_their_results(
    tmp_path: Path, names: list[str], expected: list[str]
) -> None:
    assert names_of(tmp_path, named(*names)) == expected


@pytest.fixture
def scan(tmp_path: Path) -> Input:
    path = tmp_path / "scan.png"
    path.write_bytes(b"image")
    return Input(str(path), str(path), PurePosixPath("scan.png"), path)


@pytest.fixture
def output(tmp_path: Path, scan: Input) -> Path:
    """An output folder in which `scan` is done, read by the plan "this"."""
    folder = tmp_path / "out"
    with Record(folder) as record:
        write_file(folder, "scan.txt", b"text")
        record.add(scan, "this", b"image", modified_at(scan.path), {"scan.txt": 4})
    return folder


def test_what_is_done_and_unchanged_is_known_in_the_next_run(output: Path, scan: Input) -> None:
    with Record(output) as record:
        assert record.is_done(scan, "this")
        assert not record.is_done(scan, "something else")


def test_a_name_is_kept_for_later_runs_and_from_other_inputs(output: Path, scan: Input) -> None:
    (other,) = named("scan.png")
    assert names_of(output, [other, scan]) == ["scan.png", "scan"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names cannot be had there")
def test_a_name_that_is_no_utf_8_is_known_in_the_next_run(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    path.write_bytes(b"image")
    one = Input(str(path), str(path), PurePosixPath(path.name), path)
    with Record(tmp_path / "out") as record:
        record.add(one, "this", b"image", modified_at(path), {})
    with Record(tmp_path / "out") as record:
        assert record.is_done(one, "this")


def test_a_file_that_was_only_touched_counts_as_unchanged_by_its_bytes(output: Path, scan: Input) -> None:
    assert scan.path is not None
    os.utime(scan.path, ns=(0, 0))
    with Record(output) as record:
        assert not record.is_done(scan, "this")
        assert record.is_done(scan, "this", b"image")
        assert not record.is_done(scan, "this", b"another")


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"te")])
def test_results_that_are_gone_or_cut_off_are_not_done(output: Path, scan: Input, harm: object) -> None:
    assert callable(harm)
    harm(output / "scan.txt")
    with Record(output) as record:
        assert not record.is_done(scan, "this")


@pytest.mark.parametrize(
    "line",
    [
        b'{"key": "/a", "pla',
        b"7\n",
        b'{"key": "/a", "target": "a", "started": 5}\n',
        b'{"key": "/a", "target": ["a"], "started": []}\n',
        b'{"key": "/a", "target": "a", "size": 1, "modified": 1, "hash": "", "plan": "", "files": [1]}\n',
    ],
)
def test_a_line_that_was_cut_off_or_is_none_costs_only_itself(output: Path, scan: Input, line: bytes) -> None:
    with (output / FILE_NAME).open("ab") as file:
        file.write(line)
    (other,) = named("other.png")
    with Record(output) as record:
        record.add(other, "this", b"", 0, {})
    with Record(output) as record:
        assert record.is_done(scan, "this")
        assert record.is_done(other, "this", b"")


def test_two_runs_do_not_write_to_the_same_folder(tmp_path: Path) -> None:
    with Record(tmp_path), pytest.raises(RunAborted, match="another ocrvl is writing") as refusal, Record(tmp_path):
        pass
    assert refusal.value.status is Exit.REFUSED


def test_a_folder_that_cannot_be_made_ends_the_run(scan: Input) -> None:
    assert scan.path is not None
    with pytest.raises(OutputError, match=r"cannot be written.*choose another folder"), Record(scan.path / "out"):
        pass


class FullDisk:
    """Takes the first bytes of each file and no more."""

    def __init__(self, handle: int, mode: str) -> None:
        self._handle = handle

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._handle)

    def write(self, data: bytes) -> None:
        os.write(self._handle, data[:2])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path, "a.md", b"before")
    monkeypatch.setattr("ocrvl_cli.reading.output_files.os.fdopen", FullDisk)
    with pytest.raises(OutputError, match=r"No space left on device; free some space") as end:
        write_file(tmp_path, "a.md", b"after")
    assert end.value.status is Exit.UNWRITABLE
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.md": b"before"}


@pytest.mark.parametrize("name", ["../a.jpg", "/tmp/a.jpg", "imgs/../../a.jpg"])
def test_a_name_of_the_server_s_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="has named an image"):
        write_file(tmp_path, name, b"")


def test_a_name_that_is_too_long_is_a_problem_of_its_input_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too long"):
        write_file(tmp_path, f"{'a' * 300}.md", b"")


def test_nothing_outside_the_folder_is_ever_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    (tmp_path / "out/a").mkdir(parents=True)
    (tmp_path / "out/a/old").touch()
    remove_files(tmp_path / "out", ["../mine", str(tmp_path / "mine"), "a/old", "a/nothing"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["mine", "out"]


def test_what_is_being_overwritten_is_not_done(output: Path, scan: Input) -> None:
    with Record(output) as record:
        record.start(scan, ["scan.txt"])
    with Record(output) as record:
        assert not record.is_done(scan, "this")


@pytest.mark.parametrize(
    ("name", "problem"), [("a/b.md", "is a folder"), ("c/b.md", "Not a directory"), ("d/" * 3000 + "b.md", "too long")]
)
def test_a_result_that_cannot_be_written_is_known_before_there_is_one(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "a/b.md").mkdir(parents=True)
    (tmp_path / "c").touch()
    with pytest.raises(InputError, match=problem):
        check_name(tmp_path, name)
    check_name(tmp_path, "new/b.md")
