"""A real browser for tests of the web page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, sync_playwright

SCREENSHOTS: Final = Path("runs/gateway")
"""Where what the browser showed is left to look at."""

_CHROMIUM: Final = shutil.which("chromium")
_ARGUMENTS: Final = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

needs_browser = pytest.mark.skipif(_CHROMIUM is None, reason="Chromium is not installed (make browser)")


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()
