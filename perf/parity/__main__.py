"""Compare what is served with transformers, both in float32: `python -m perf.parity --help`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from transformers.utils import logging as transformers_logging

from ocrvl.engine_settings import SETTINGS_FILE, EngineSettings
from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import ServerFailed
from ocrvl.wire import Model
from perf.harness.server import server_options, start_server
from perf.parity.comparison import Check, Comparison, summarize
from perf.parity.images import draw_samples
from perf.parity.run import compare_samples


def main(
    repository: Annotated[Path | None, typer.Option(help="Model repository; ours unless given.")] = None,
    seed: Annotated[int, typer.Option(help="Of the drawings.")] = 0,
    max_tokens: Annotated[int, typer.Option(help="Tokens generated for an image, at most.")] = 160,
    details: Annotated[bool, typer.Option(help="A line for every image as well.")] = False,
) -> None:
    """Start the server, read drawn images with it and with transformers, and compare.

    Exit status 1 where a bound is broken. The repository's engine has to run in float32.
    """
    _quieten()
    console = Console()
    repository = repository or find_model_repository()
    settings = EngineSettings.from_file(repository / Model.ENGINE / "1" / SETTINGS_FILE)
    if (dtype := settings.engine_args.get("dtype")) != "float32":
        raise typer.BadParameter(f"{settings.source} has dtype {dtype}: rounding would hide what is looked for")
    samples = draw_samples(settings.grid, seed)
    try:
        with console.status("starting the server") as status, start_server(server_options(repository)) as server:
            comparisons = compare_samples(samples, settings, server.grpc_url, max_tokens, status.update)
    except ServerFailed as error:
        console.print(f"the server did not start:\n{error}", style="red", markup=False)
        raise typer.Exit(1) from None
    if details:
        console.print(_image_table(comparisons))
    checks = summarize(comparisons)
    console.print(_check_table(checks))
    _print_differences(console, comparisons)
    raise typer.Exit(0 if all(check.holds for check in checks) else 1)


def _quieten() -> None:
    """Leave only errors of the libraries beside the table, here and in the processes that are started."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _check_table(checks: Sequence[Check]) -> Table:
    table = Table("check", "measured", "bound", "", title="ours against transformers, float32")
    for check in checks:
        mark = "" if not check.bound else "[green]holds" if check.holds else "[red]broken"
        table.add_row(check.name, check.measured, check.bound, mark)
    return table


def _image_table(comparisons: Sequence[Comparison]) -> Table:
    table = Table("image", "tokens", "patches", "features", "log-probs", "text", title="largest differences")
    for one in comparisons:
        numbers = (f"{value:.1e}" for value in (one.patches, one.scaled_features, one.logprobs))
        table.add_row(one.name, str(one.tokens), *numbers, "equal" if one.text is None else f"gap {one.text.gap:.4f}")
    return table


def _print_differences(console: Console, comparisons: Sequence[Comparison]) -> None:
    for one in comparisons:
        if one.text is not None:
            kind = "a near tie" if one.text.is_near_tie else "NO near tie"
            console.print(f"{one.name}: differs from token {one.text.token} on, {kind}, gap {one.text.gap:.5f}")
            console.print(f"  served        {one.text.served!r}", markup=False)
            console.print(f"  transformers  {one.text.expected!r}", markup=False)


if __name__ == "__main__":
    typer.run(main)
