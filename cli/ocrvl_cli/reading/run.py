"""A whole run of `ocrvl read`: the client, the bar, what is printed, and the exit status."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import typer

from ocrvl_cli.reading.batch import Batch, Limits
from ocrvl_cli.reading.connection import Server, explain
from ocrvl_cli.reading.errors import Exit, RunAborted
from ocrvl_cli.reading.output_files import output_error, write_file
from ocrvl_cli.reading.progress import Bar
from ocrvl_cli.reading.read_plan import Format, ReadPlan
from ocrvl_cli.reading.reader import Output, Reader, Result
from ocrvl_cli.reading.receipts import header, render_tables
from ocrvl_cli.reading.record import Record
from ocrvl_cli.reading.sources import Input, SkippedInput, find_inputs
from ocrvl_cli.reading.stdin import read_stdin
from ocrvl_cli.terminal import Console, echo, echo_path, printable


@dataclass
class Summary:
    """What became of the inputs so far. `remaining` is how many have not been read."""

    remaining: int
    read: int = 0
    skipped: int = 0
    failed: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count a result."""
        self.remaining -= 1
        if result.problems:
            self.failed.append(result)
        elif result.skipped:
            self.skipped += 1
        else:
            self.read += 1


def read_all(
    arguments: Sequence[str], server: Server, plan: ReadPlan, limits: Limits, output: Path | None, *, force: bool
) -> Exit:
    """Read everything and print results on standard output, everything else on standard error."""
    errors = Console(stderr=True)
    inputs = list(read_stdin(find_inputs(arguments, leave_out=output)))
    if output is None and Format.HTML in plan.formats and len(inputs) > 1:
        raise typer.BadParameter("HTML of several inputs needs a folder", param_hint="--output")
    summary = Summary(len(inputs))
    ended = Exit.READ
    try:
        with ExitStack() as stack:
            into = None
            if output is not None:
                record = stack.enter_context(Record(output))
                for one in inputs:
                    if isinstance(one, Input):
                        record.target_of(one)
                into = Output(output, record, force)
            bar = stack.enter_context(Bar(errors, len(inputs)))
            if plan.tables and into is not None:
                stack.callback(write_tables, inputs, into, summary)
            asyncio.run(_read(inputs, server, plan, limits, into, summary, bar, errors))
    except RunAborted as error:
        ended = error.status
        errors.print(str(error), style="red")
    except KeyboardInterrupt:
        ended = Exit.INTERRUPTED
        errors.print("interrupted", style="red")
    except asyncio.CancelledError:
        ended = Exit.TERMINATED
        errors.print("terminated", style="red")
    _print_summary(summary, output, ended, errors)
    return ended or (Exit.SOME_FAILED if summary.failed else Exit.READ)


async def _read(
    inputs: Sequence[Input | SkippedInput],
    server: Server,
    plan: ReadPlan,
    limits: Limits,
    output: Output | None,
    summary: Summary,
    bar: Bar,
    errors: Console,
) -> None:
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    many = len(inputs) > 1
    if output is None and Format.CSV in plan.formats:
        echo(header())
    async with server.connect() as client:
        reader = Reader(client, plan, output=output, on_pages=bar.add_pages)
        batch = Batch(reader, limits, partial(explain, server.url, server.protocol, tls=server.tls))
        try:
            async with aclosing(batch.run(inputs)) as results:
                async for result in results:
                    summary.add(result)
                    bar.add_done(failed=bool(result.problems))
                    _print(result, plan, many=many, errors=errors)
        finally:
            if output is not None:
                # their files are written, though they were not reported yet
                for result in batch.undelivered:
                    summary.add(result)


def _print(result: Result, plan: ReadPlan, *, many: bool, errors: Console) -> None:
    for warning in result.warnings:
        errors.print(f"{result.name}: {warning}", style="yellow")
    if result.skipped or not (result.written or result.text or not result.problems):
        return
    try:
        if result.written:
            for path in result.written:
                echo_path(path)
            return
        if many and not {Format.JSON, Format.CSV} & set(plan.formats):
            echo(f"==> {result.name} <==")
        echo(result.text)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise output_error(Path("standard output"), error) from None


def write_tables(inputs: Sequence[Input | SkippedInput], output: Output, summary: Summary) -> None:
    """Make the tables of all receipts of a run, those included that were read in an earlier one."""
    failed = {result.name for result in summary.failed}
    receipts = []
    for one in inputs:
        if isinstance(one, Input) and printable(one.name) not in failed:
            path = output.folder / f"{output.record.target_of(one)}{Format.JSON.suffix}"
            with suppress(OSError, ValueError):
                receipts.append(json.loads(path.read_text("utf-8", "surrogateescape")))
    for name, text in render_tables(receipts).items() if receipts else ():
        write_file(output.folder, name, text.encode("utf-8", "backslashreplace"))
        echo_path(output.folder / name)


def _print_summary(summary: Summary, output: Path | None, ended: Exit, errors: Console) -> None:
    """The failures, and in a sentence what there is."""
    for result in summary.failed:
        for problem in result.problems:
            text = problem.removeprefix(f"{result.name}: ")
            errors.print(f"{result.name}: {text}", style="red")
    total = summary.read + summary.skipped + len(summary.failed) + summary.remaining
    if total == 1 and not summary.skipped:
        return
    parts = [f"{summary.read} read"]
    parts += [f"{summary.skipped} done before"] if summary.skipped else []
    parts += [f"{len(summary.failed)} failed"] if summary.failed else []
    parts += [f"{summary.remaining} not begun or not finished"] if summary.remaining else []
    again = (
        "; the same command goes on from there"
        if output is not None and summary.remaining and ended != Exit.REFUSED
        else ""
    )
    if output is not None or summary.failed or summary.remaining:
        errors.print(f"{', '.join(parts)}{again}")
