"""`ocrvl.models.document.drawing`: what a PDF does to the process that draws it happens to nobody else."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from ocrvl.errors import InvalidArgument
from ocrvl.models.document.drawing import Drawers, DrawTimes, PdfPages
from stress.fuzz.seeds import write_pdf
from stress.hostile.content import laughing_pdf
from tests.support.doubles import wait_until

GOOD = write_pdf(
    [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 60 40]/Contents 4 0 R>>", b"<</Length 3>>stream\n0 g\nendstream"]
)


@pytest.fixture
def drawers() -> Iterator[Drawers]:
    drawers = Drawers()
    yield drawers
    drawers.close()
    assert not running()


def running() -> list[psutil.Process]:
    """The processes that draw."""
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if "ocrvl.models.document.pdfium" in child.cmdline()]


def opened(data: bytes, drawers: Drawers, seconds: float = 60.0, document_seconds: float = 600.0) -> PdfPages:
    return PdfPages(data, 72, 10_000_000, 10_000, drawers, DrawTimes(seconds, document_seconds))


def test_one_process_draws_one_file_after_the_other(drawers: Drawers) -> None:
    drawn_by = []
    for _ in range(3):
        pages = opened(GOOD, drawers)
        pixels, warning = pages.draw(0)
        assert (pixels.shape, warning) == ((40, 60, 3), "")
        drawn_by += running()
        pages.close()
    assert len(set(drawn_by)) == 1


def test_files_that_are_open_at_once_have_processes_of_their_own(drawers: Drawers) -> None:
    both = [opened(GOOD, drawers), opened(GOOD, drawers)]
    assert len(running()) == 2
    for pages in both:
        assert pages.draw(0)[0].shape == (40, 60, 3)
        pages.close()


def test_a_file_that_is_none_costs_no_process(drawers: Drawers) -> None:
    for _ in range(2):
        with pytest.raises(InvalidArgument, match="the PDF is damaged"):
            opened(b"%PDF-1.7 nothing", drawers)
    assert len(running()) == 1


def test_a_page_that_takes_too_long_is_ended_and_another_file_is_not(drawers: Drawers) -> None:
    other, warm = opened(GOOD, drawers), opened(GOOD, drawers)
    # its process has started by now, which counts as well
    warm.close()
    slow = opened(laughing_pdf(), drawers, 0.5)
    for _ in range(2):
        with pytest.raises(InvalidArgument, match=r"the page takes more than 0.5 s to draw"):
            slow.draw(0)
    with pytest.raises(InvalidArgument, match="it is not drawn: 2 pages before it could not be"):
        slow.draw(0)
    assert other.draw(0)[0].shape == (40, 60, 3)
    for pages in (slow, other):
        pages.close()


def test_pages_are_drawn_until_their_file_has_had_its_time(drawers: Drawers) -> None:
    pages = opened(GOOD, drawers, document_seconds=1e-9)
    assert pages.draw(0)[0].shape == (40, 60, 3)
    with pytest.raises(InvalidArgument, match=r"not drawn: the pages before it took 1e-09 s to draw; ask for it with"):
        pages.draw(0)
    pages.close()


def test_a_page_at_which_its_process_dies_fails_alone(drawers: Drawers) -> None:
    pages = opened(GOOD, drawers)
    os.kill(running()[0].pid, signal.SIGSEGV)
    with pytest.raises(InvalidArgument, match="the page ends the program that draws it"):
        pages.draw(0)
    assert pages.draw(0)[0].shape == (40, 60, 3)
    pages.close()


def test_closing_a_file_ends_what_is_being_drawn_of_it(drawers: Drawers) -> None:
    pages = opened(laughing_pdf(), drawers)
    errors: list[str] = []

    def draw() -> None:
        try:
            pages.draw(0)
        except InvalidArgument as error:
            errors.append(str(error))

    thread = threading.Thread(target=draw)
    thread.start()
    wait_until(lambda: pages._lock.locked())
    time.sleep(0.1)
    pages.close()
    thread.join(timeout=30)
    assert errors == ["the page ends the program that draws it, or takes too much memory"]
