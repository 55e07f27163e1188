"""`python -m perf load PROFILE`: run a load profile with perf_analyzer and write a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import typer
from rich.console import Console
from rich.markdown import Markdown

from ocrvl.launcher.locate import TritonNotFound
from ocrvl.launcher.server import ServerFailed, TritonServer
from perf.conditions import look_around
from perf.harness.server import start_server
from perf.images import SizeClass, draw_files
from perf.load.analyzer import AnalyzerNotFound, MeasurementFailed, find_perf_analyzer, measure
from perf.load.engine_time import MetricsReader
from perf.load.input_data import COUNTS, write_input_data
from perf.load.measurement import Failure, Measurement
from perf.load.plots import draw_plots
from perf.load.profiles import Profile, ProfileInvalid, Run, load_profile, profile_names
from perf.load.report import write_csv, write_markdown

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Target:
    """A server under load. `metrics` is the address of its metrics, None where they cannot be had.

    `given` is the address that a running server was named by, None for one that was started for the run.
    """

    grpc: str
    http: str
    metrics: str | None
    given: str | None = None

    @classmethod
    def of(cls, server: TritonServer) -> Target:
        """A server that was started here."""
        return cls(server.grpc_url, server.http_url, f"{server.options.host}:{server.metrics_port}")

    @classmethod
    def at(cls, url: str, metrics: str | None) -> Target:
        """A server that is running; `url` is of the protocol that the profile speaks."""
        return cls(url, url, metrics, given=url)

    def url(self, run: Run) -> str:
        """The address for the protocol that a run speaks."""
        return self.grpc if run.protocol == "grpc" else self.http


def run_profile(
    profile: Profile,
    target: Target,
    analyzer: Path,
    folder: Path,
    *,
    count: int | None = None,
    more: Sequence[str] = (),
    load_before: float = 0.0,
    console: Console | None = None,
) -> list[Failure]:
    """Measure, and write the report into `folder`; what failed, nothing if all is well.

    `count` distinct images are sent, `more` are further arguments of perf_analyzer's, `load_before` is the machine's
    load average before the server was started.
    """
    console = console or Console(quiet=True)
    metrics = MetricsReader(target.metrics) if target.metrics else None
    counts = metrics.settle() if metrics else None
    measurements: list[Measurement] = []
    failures: list[Failure] = []
    for run in profile.runs:
        data = folder / f"{run.name}.input.json"
        with console.status(f"{run.name}: drawing images"):
            files = islice(draw_files(run.images), count or COUNTS[run.images])
            write_input_data(data, files, run.max_tokens, target.grpc if run.takes_patches else None)
        for level in run.levels:
            try:
                with console.status(f"measuring {run.label(level)}"):
                    taken = measure(analyzer, run, level, url=target.url(run), data=data, folder=folder, more=more)
            except MeasurementFailed as error:
                failures.append(Failure(run, level, str(error)))
                console.print(f"{run.label(level)}: {error}", style="red", markup=False)
                # more load would fail as well
                break
            if metrics and counts:
                earlier, counts = counts, metrics.settle()
                taken = replace(taken, engine=counts.since(earlier))
            measurements.append(taken)
            console.print(f"{run.label(level)}: {taken.throughput:.2f} images/s, p50 {taken.latency.p50:.0f} ms")
        # as large as all the images, and drawn again from the same seed
        data.unlink()
    conditions = look_around(
        counts.checkpoint if counts else "",
        analyzer,
        _triton_version(target, profile.runs[0]),
        target.given,
        load_before,
    )
    plots = draw_plots(measurements, conditions.caption, folder)
    write_csv(folder / "summary.csv", measurements, failures)
    write_markdown(folder / "summary.md", profile.name, conditions, measurements, failures, plots)
    return failures


def _triton_version(target: Target, run: Run) -> str:
    if run.protocol == "grpc":
        with triton_grpc.InferenceServerClient(target.grpc) as client:
            return str(client.get_server_metadata().version)
    with triton_http.InferenceServerClient(target.http) as client:
        return str(client.get_server_metadata()["version"])


def main(
    profile: Annotated[str, typer.Argument(help=f"One of {', '.join(profile_names())}.")],
    more: Annotated[list[str] | None, typer.Argument(help="After --: more arguments for perf_analyzer.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Host and port of a running server, of the profile's protocol.")
    ] = None,
    metrics_url: Annotated[str | None, typer.Option(help="Host and port of that server's metrics.")] = None,
    perf_analyzer: Annotated[Path | None, typer.Option(help="The program; else PERF_ANALYZER, else the PATH.")] = None,
    images: Annotated[SizeClass | None, typer.Option(help="What to send in place of the profile's own.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens generated for an image at most.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many distinct images.")] = None,
    output: Annotated[Path, typer.Option(help="Where the report's folder is made.")] = RESULTS,
) -> None:
    """Run a load profile and write a report; the exit status is not zero where a measurement failed."""
    console = Console(highlight=False)
    try:
        chosen = load_profile(profile)
        analyzer = find_perf_analyzer(perf_analyzer)
    except (ProfileInvalid, AnalyzerNotFound) as error:
        console.print(str(error), markup=False)
        raise typer.Exit(2) from None
    runs = (replace(run, images=images or run.images, max_tokens=max_tokens) for run in chosen.runs)
    chosen = Profile(chosen.name, tuple(runs))
    folder = output / f"{profile}-{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
    folder.mkdir(parents=True)
    load_before = os.getloadavg()[0]
    try:
        with ExitStack() as stack:
            target = Target.at(url, metrics_url) if url else Target.of(_start(stack, console))
            failures = run_profile(
                chosen,
                target,
                analyzer,
                folder,
                count=count,
                more=more or (),
                load_before=load_before,
                console=console,
            )
    except (ServerFailed, TritonNotFound) as error:
        console.print(f"the server could not be started:\n{error}", markup=False)
        raise typer.Exit(1) from None
    console.print(Markdown((folder / "summary.md").read_text()))
    console.print(f"written to {folder}")
    if failures:
        console.print(f"{len(failures)} measurements failed", style="red")
        raise typer.Exit(1)


def _start(stack: ExitStack, console: Console) -> TritonServer:
    with console.status("starting Triton with vLLM"):
        return stack.enter_context(start_server())


if __name__ == "__main__":
    typer.run(main)
