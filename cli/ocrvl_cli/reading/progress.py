"""The bar of a long run: inputs, pages, rate and time left."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ocrvl_cli.terminal import Console


class Bar:
    """Of `total` inputs. Use in a `with` block. Nothing is shown where the console is no terminal."""

    def __init__(self, console: Console, total: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]} of {task.fields[total_inputs]}{task.fields[failed]}"),
            TextColumn("{task.fields[pages_shown]}"),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(
            *columns,
            console=console,
            transient=True,
            disable=not console.is_terminal,
            # what is redirected goes above the bar, on the console: right for a terminal, a loss for a file
            redirect_stdout=sys.stdout.isatty(),
        )
        self._total = total
        self._pages = self._known = self._done = self._failed = 0
        # without a total it moves, and so it does until there is something to show
        self._bar = self._progress.add_task("reading", total=None, **self._fields())

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def add_pages(self, count: int, part: float, known: int) -> None:
        """Pages were done that are this part of their input, of which so many pages became known."""
        self._pages += count
        self._known += known
        self._progress.update(self._bar, advance=part, total=self._total, **self._fields())

    def add_done(self, *, failed: bool) -> None:
        """An input is done."""
        self._done += 1
        self._failed += failed
        # parts of inputs that failed never came, and those of others may not add up to one
        task = self._progress.tasks[0]
        completed = max(task.completed, self._done)
        self._progress.update(self._bar, completed=completed, total=self._total, **self._fields())

    def _fields(self) -> dict[str, Any]:
        failed = f", {self._failed} failed" if self._failed else ""
        shown = f"{self._pages} of {self._known} pages" if self._known else ""
        counts = {"done": self._done, "total_inputs": self._total, "pages": self._pages}
        return {**counts, "pages_shown": shown, "failed": failed}


class _Rate(ProgressColumn):
    """Pages a second over the whole run."""

    def render(self, task: Task) -> Text:
        if not task.elapsed or not task.fields["pages"]:
            return Text("")
        return Text(f"{task.fields['pages'] / task.elapsed:.1f} a second")
