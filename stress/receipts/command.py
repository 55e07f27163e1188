"""`python -m stress receipts`: the pipeline with real parts, while some of them are killed or stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Annotated, Final

import typer
from rich.console import Console

from ocrvl.launcher.server import ServerFailed, TritonServer
from ocrvl_receipts.settings import WorkerSettings
from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import Output, Save, keep, new_figures
from perf.harness.receipts import Broker, Store, start_broker, start_store
from perf.harness.receipts_process import PipelineProcess
from perf.harness.server import server_options
from stress.receipts import scenarios
from stress.receipts.pipeline import Feed, Watch, create_topics
from stress.receipts.scenarios import Pipeline
from training.nano.world import World

_STARTS: Final = 3
_NAMES: Final = ("kill", "poison", "stopped", "throughput")
_TABLE: Final = Table(
    rows=("what",),
    columns=(
        Column(title="", value="what"),
        Column(title="asked for", value="asked"),
        Column(title="measured", value="measured", format=".4g"),
    ),
)


class RestartableServer:
    """A Triton server that can be stopped and started again at the same ports."""

    def __init__(self) -> None:
        self._options = server_options()
        self._server: TritonServer | None = None

    @property
    def grpc_url(self) -> str:
        """Host and port of gRPC."""
        assert self._server is not None
        return self._server.grpc_url

    @property
    def metrics(self) -> tuple[str, int]:
        """Host and port of the metrics."""
        assert self._server is not None
        return self._options.host, self._server.metrics_port

    def start(self) -> None:
        """Start it and wait until it is ready; again where an overloaded machine has let its start fail."""
        for left in reversed(range(_STARTS)):
            self._server = TritonServer(self._options)
            self._options = self._server.options
            self._server.__enter__()
            try:
                self._server.wait_until_ready()
            except ServerFailed:
                self.stop()
                if not left:
                    raise
            else:
                return

    def stop(self) -> None:
        """End it, with what is in flight."""
        if self._server is not None:
            self._server.kill()
            self._server.__exit__(None, None, None)
            self._server = None


def main(
    receipts: Annotated[int, typer.Option(min=8, help="Receipts of the run in which a worker is killed.")] = 500,
    others: Annotated[int, typer.Option(min=4, help="Receipts of each other run.")] = 100,
    away: Annotated[float, typer.Option(min=0, help="Seconds that the broker is stopped.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the throughput.")] = 3,
    concurrency: Annotated[int, typer.Option(min=2, help="Receipts in flight, of all workers together.")] = 8,
    only: Annotated[list[str] | None, typer.Option(help=f"Some runs alone: {', '.join(_NAMES)}.")] = None,
    save: Save = False,
    output: Output = None,
) -> None:
    """Kill a worker, stop the broker, stop Triton, send a file that is no image; then compare with the SDK alone."""
    chosen = only or list(_NAMES)
    if unknown := set(chosen) - set(_NAMES):
        raise typer.BadParameter(f"no run {', '.join(unknown)} (known: {', '.join(_NAMES)})")
    console = Console(highlight=False)
    runs: dict[str, Callable[[Pipeline], scenarios.Record]] = {
        "kill": lambda pipeline: scenarios.kill_and_pause(pipeline, receipts, away),
        "poison": lambda pipeline: scenarios.poison(pipeline, others),
        "stopped": lambda pipeline: scenarios.engine_stopped(pipeline, others, 2 * away),
        "throughput": lambda pipeline: scenarios.throughput(pipeline, others, rounds, concurrency),
    }
    found: dict[str, scenarios.Record] = {}
    with tempfile.TemporaryDirectory(prefix="ocrvl-receipts-") as name, _run(Path(name), concurrency) as pipeline:
        for run in chosen:
            console.print(f"{run} …")
            found[run] = runs[run](pipeline)
            console.print(str(found[run]))
    figures = to_figures(found, away, concurrency)
    keep("receipts-pipeline", figures, console, save_them=save, output=output)
    raise typer.Exit(1 if missed(figures) else 0)


@contextmanager
def _run(folder: Path, concurrency: int) -> Iterator[Pipeline]:
    images = [World(Random(seed)).receipt(3).png() for seed in range(60)]
    server = RestartableServer()
    with start_broker(folder) as broker, start_store(folder) as store:
        settings = _settings(broker, store, concurrency)
        create_topics(settings)
        with Watch(settings) as watch:
            server.start()
            try:

                def make_worker(name: str) -> PipelineProcess:
                    return PipelineProcess(settings.model_copy(update={"server": [server.grpc_url]}), folder, name)

                yield Pipeline(
                    broker, store, Feed(settings, store), watch, server, make_worker, images, settings.window
                )
            finally:
                server.stop()


def _settings(broker: Broker, store: Store, concurrency: int) -> WorkerSettings:
    return WorkerSettings(
        brokers=[broker.address],
        endpoint=store.endpoint,
        session_timeout=broker.session_timeout,
        partitions=4,
        concurrency=concurrency // 2,
        window=4 * concurrency // 2,
    )


def to_figures(found: dict[str, scenarios.Record], away: float, concurrency: int) -> Figures:
    """A record for each thing that was asked for."""
    rows: list[dict[str, Value]] = []

    def add(what: str, asked: str, measured: Value) -> None:
        rows.append({"what": what, "asked": asked, "measured": measured})

    if kill := found.get("kill"):
        count = kill["receipts"]
        add(f"results of {count} receipts, one of two workers killed, the broker stopped", f"{count}", kill["results"])
        add("receipts without a result", "0", kill["missing"])
        add("receipts read twice", f"{kill['window']} at most: the window", kill["read_again"])
        add("events of results sent twice", f"{kill['window']} at most", kill["told_again"])
        add("seconds until the other has the killed worker's partitions", "15 at most", kill["redelivered_seconds"])
        add("seconds until it has done one of its receipts", "", kill["done_again_seconds"])
    if poison := found.get("poison"):
        add("seconds until a file that is no image is in the dlq", "", poison["in_dlq_after_seconds"])
        add(
            "seconds that it holds one of the worker's places, so delays any other", "1 at most", poison["held_seconds"]
        )
    if stopped := found.get("stopped"):
        add("Triton stopped: MiB of a worker at first", "", stopped["memory_first_mib"])
        add("MiB of it at most", "bounded", stopped["memory_most_mib"])
        add("lag when half of the receipts were sent", "grows", stopped["lag_half"])
        add("lag when all were sent", f"{stopped['receipts']}", stopped["lag_all"])
        add("messages in the dlq", "0", stopped["buried"])
        add("seconds from Triton's return to the first result", "", stopped["first_after_seconds"])
        add("receipts done then", f"{stopped['receipts']}", stopped["done"])
    if rate := found.get("throughput"):
        add("receipts a second, the SDK's many at once", "", rate["sdk_per_second"])
        add("receipts a second, the pipeline", "", rate["pipeline_per_second"])
        add("the pipeline's share", "0.9 at least", rate["share"])
    return new_figures(
        question="What does the pipeline of receipts keep while its parts fail, and what does it cost?",
        rounds=1,
        conditions=f"Broker: tansu, its process stopped for {away:g} s (SIGSTOP); a session of 6 s. Store: MiniStack. "
        f"Triton with the embedded checkpoints, started anew after a SIGKILL. {concurrency} receipts in flight, of two "
        "workers together; of one worker half of it.",
        measurements=rows,
        tables={"receipts-pipeline": _TABLE},
    )


def missed(figures: Figures) -> list[str]:
    """What was asked for and not kept."""
    bad = []
    for row in figures.measurements:
        asked, measured = str(row["asked"]), row["measured"]
        number, _, rest = asked.partition(" ")
        if not isinstance(measured, int | float) or not number.replace(".", "").isdigit():
            continue
        limit = float(number)
        kept = (
            measured <= limit if "at most" in rest else measured >= limit if "at least" in rest else measured == limit
        )
        if not kept:
            bad.append(f"{row['what']}: {measured:g}, asked for {asked}")
    return bad
