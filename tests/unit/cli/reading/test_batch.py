"""`ocrvl_cli.reading.batch`: many inputs, and servers that go away."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ocrvl_cli.reading.batch import Limits
from ocrvl_cli.reading.errors import Exit
from ocrvl_cli.reading.read_plan import ReadPlan
from ocrvl_client import InvalidRequest, Reading, RequestTimeout, ServerError, ServerUnavailable
from tests.support.read_runs import ALL, LIMITS, PDF, Scripted, read, refuse, written


def test_few_documents_are_in_flight_at_a_time(tmp_path: Path, out: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.pdf").write_bytes(PDF)
    client = Scripted(together=LIMITS.documents)
    read(client, f"{tmp_path}/*.pdf", output=out)
    assert client.most_inside == LIMITS.documents


@pytest.mark.parametrize(
    "error", [InvalidRequest("it is damaged"), ServerError("error 7f"), RequestTimeout("no answer within 3 s")]
)
def test_what_cannot_be_read_is_listed_at_the_end_and_the_others_are_read(
    scans: Path, out: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    (scans / "empty.png").touch()
    assert read(Scripted(refuse(b"text 1", error)), scans, "/nowhere.png", output=out) is Exit.SOME_FAILED
    *failures, summary = capsys.readouterr().err.splitlines()
    assert failures[0] == f"{scans}/1.png: {error}"
    assert failures[-2:] == [f"{scans}/empty.png: it is empty", "/nowhere.png: No such file or directory"]
    assert summary == "9 read, 13 failed"
    assert len(written(out)) == 9


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("image 0: it is a damaged PNG", "it is a damaged PNG"),
        ("image 0: it is not an image (PNG, …)", "it is neither a PDF nor an image (PNG, …)"),
    ],
)
def test_of_one_file_it_is_said_what_is_wrong_with_a_file(
    scans: Path, capsys: pytest.CaptureFixture[str], told: str, shown: str
) -> None:
    assert read(Scripted(refuse(b"", InvalidRequest(told))), scans / "1.png", plan=ReadPlan()) is Exit.SOME_FAILED
    assert capsys.readouterr().err.splitlines()[0] == f"{scans}/1.png: {shown}"


def test_a_server_that_comes_back_is_waited_for(scans: Path, out: Path) -> None:
    broken: list[bytes] = []

    def fail(data: bytes) -> None:
        if data == b"text 7" and not broken:
            broken.append(data)
            raise ServerUnavailable("the connection broke")

    client = Scripted(fail, away=2)
    assert (
        read(client, scans, output=out, limits=Limits(jobs=4, start_retry_timeout=30, retry_timeout=30, poll=0.01))
        is Exit.READ
    )
    assert written(out) == ALL
    assert len(client.requests) == 21


def test_a_server_that_dies_ends_the_run_and_the_next_one_reads_the_rest(
    scans: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Scripted()

    def fail(data: bytes) -> None:
        if len(client.requests) > 9:
            client.away = 999
            raise ServerUnavailable("the connection broke")

    client.fail = fail
    assert read(client, scans, output=out) is Exit.LOST
    told = capsys.readouterr().err
    assert "went away and was not back within 0.05 s (the connection broke)" in told
    assert "the same command goes on from there" in told
    kept = written(out)
    assert 5 <= len(kept) < 10
    assert kept.items() <= ALL.items()
    assert f"{len(kept)} read, {20 - len(kept)} not" in told
    rest = Scripted()
    assert read(rest, scans, output=out) is Exit.READ
    assert len(rest.requests) == 20 - len(kept)
    assert written(out) == ALL


def test_without_a_server_no_input_is_read(scans: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted(away=999)
    assert read(client, scans, output=out) is Exit.REFUSED
    assert "no server at 127.0.0.1:9: nothing listens there" in capsys.readouterr().err
    assert client.requests == []


def test_a_server_that_is_loading_is_waited_for_with_the_option_wait(scans: Path) -> None:
    limits = Limits(start_retry_timeout=30, poll=0.01)
    assert read(Scripted(away=1), scans / "1.png", plan=ReadPlan(), limits=limits) is Exit.READ


def test_a_model_that_the_server_does_not_have_is_said_once(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted(refuse(b"", InvalidRequest("Request for unknown model: 'ocr' is not found")))
    assert read(client, scans, plan=ReadPlan()) is Exit.REFUSED
    assert capsys.readouterr().err.count("unknown model") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)])
def test_a_run_that_is_interrupted_cancels_what_is_in_flight_and_keeps_the_rest(
    scans: Path, out: Path, capsys: pytest.CaptureFixture[str], number: int, status: Exit
) -> None:
    class Endless(Scripted):
        async def read(self, image: bytes, **options: Any) -> Reading:
            if image == b"text 9":
                os.kill(os.getpid(), number)
                try:
                    await asyncio.sleep(600)
                finally:
                    self.ended.append(image)
            return await super().read(image, **options)

    client = Endless()
    assert read(client, scans, output=out) is status
    assert b"text 9" in client.ended
    assert "the same command goes on from there" in capsys.readouterr().err
    assert written(out).items() <= ALL.items()
    assert read(Scripted(), scans, output=out) is Exit.READ
    assert written(out) == ALL
