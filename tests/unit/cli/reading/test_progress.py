"""The bar of `ocrvl read`: it moves while inputs are read, and shows the pages of documents."""

from __future__ import annotations

import io

import pytest

from ocrvl_cli.reading.progress import Bar
from ocrvl_cli.terminal import Console


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    for name, value in {"TERM": "xterm", "COLUMNS": "200", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    made = Console(stderr=True)
    made.file = io.StringIO()
    return made


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_until_something_is_done_the_bar_moves_to_and_fro(console: Console) -> None:
    with Bar(console, total=2) as bar:
        (task,) = bar._progress.tasks
        assert [task.total, task.completed] == [None, 0]
        bar.add_pages(1, 0.25, 4)
        assert [task.total, task.completed] == [2, 0.25]


def test_a_document_s_pages_are_shown_as_they_come(console: Console) -> None:
    with Bar(console, total=2) as bar:
        for known in (4, 0, 0):
            bar.add_pages(1, 0.25, known)
    assert "3 of 4 pages" in shown(console)


def test_pages_of_a_document_that_is_begun_again_are_taken_back(console: Console) -> None:
    with Bar(console, total=1) as bar:
        bar.add_pages(1, 0.25, 4)
        bar.add_pages(-1, -0.25, -4)
        bar.add_pages(1, 1.0, 1)
        bar.add_done(failed=False)
    assert "1 of 1" in shown(console)
    assert "1 of 1 pages" in shown(console)
