"""`make receipts`: the pipeline on one machine, from uploads to fields, beside what was printed.

Starts a broker, an object store, Triton, a front end and two workers, uploads drawn receipts as a browser would, and
prints the fields that came back, how many are right, and where the time went. Then all of it stops.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ocrvl.launcher.server import ServerFailed, TritonServer
from ocrvl_receipts.metrics import Stage
from ocrvl_receipts.settings import FrontSettings, WorkerSettings
from perf.harness.receipts import start_broker, start_store
from perf.harness.receipts_process import PipelineProcess, wait_for
from perf.harness.server import server_options
from training.fields.world import DrawnReceipt, ReceiptWorld
from training.nano.texts import Split, read_words

_FIELDS: Final = ("company", "address", "date", "currency", "payment", "subtotal", "tax", "total")
_SHOWN: Final = ("company", "date", "total", "currency")
_WORKERS: Final = 2
_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Pipeline:
    """Where the front end is, and the workers."""

    url: str
    workers: Sequence[PipelineProcess]


def main(
    receipts: Annotated[int, typer.Option(min=1, help="Receipts to upload.")] = 100,
    shown: Annotated[int, typer.Option(min=0, help="Receipts whose fields are printed.")] = 12,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 1,
) -> None:
    """Run the pipeline on one machine."""
    console = Console(highlight=False)
    world = ReceiptWorld(Random(seed), read_words(Split.HELD_OUT), Split.HELD_OUT)
    with console.status("drawing receipts"):
        drawn = [world.receipt() for _ in range(receipts)]
    try:
        with tempfile.TemporaryDirectory(prefix="ocrvl-receipts-") as name, _start(Path(name), console) as pipeline:
            began = time.monotonic()
            with console.status("uploading"):
                ids = _upload(pipeline.url, drawn)
            uploaded = time.monotonic()
            with console.status("reading"):
                results = _wait(pipeline.url, ids)
            done = time.monotonic()
            show(console, drawn, results, shown)
            show_times(console, pipeline.workers, receipts, uploaded - began, done - began)
    except (ServerFailed, RuntimeError) as error:
        console.print(f"the pipeline could not be run:\n{error}", markup=False)
        raise typer.Exit(1) from None


@contextmanager
def _start(folder: Path, console: Console) -> Iterator[Pipeline]:
    with ExitStack() as stack:
        with console.status("starting a broker, a store and Triton") as status:
            broker, store = stack.enter_context(start_broker(folder)), stack.enter_context(start_store(folder))
            server = stack.enter_context(TritonServer(server_options()))
            server.wait_until_ready(
                lambda models, seconds: status.update(f"waiting for {', '.join(models)} ({seconds:.0f} s)")
            )
            common: dict[str, Any] = {"brokers": [broker.address], "endpoint": store.endpoint, "partitions": 4}
            front = stack.enter_context(PipelineProcess(FrontSettings(**common), folder, "front"))
            settings = WorkerSettings(
                **common, server=[server.grpc_url], session_timeout=broker.session_timeout, concurrency=4, window=16
            )
            # one after the other: the first makes the topics
            workers = [
                stack.enter_context(PipelineProcess(settings, folder, f"worker-{number}")) for number in range(_WORKERS)
            ]
            wait_for(lambda: all(worker.partitions() for worker in workers), 120, "the workers to have partitions")
        host, port = front.address
        yield Pipeline(f"http://{host}:{port}", workers)


def _upload(url: str, drawn: Sequence[DrawnReceipt]) -> list[str]:
    """Upload receipts by forms and say that they are complete: their ids."""
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(8) as threads:

        def upload(receipt: DrawnReceipt) -> str:
            file = io.BytesIO()
            receipt.image.save(file, "PNG")
            grant = client.post(f"{url}/uploads", json={}).raise_for_status().json()
            client.post(grant["url"], data=grant["fields"], files={"file": file.getvalue()}).raise_for_status()
            accepted = client.post(f"{url}/uploads/complete", json={"key": grant["key"]}).raise_for_status().json()
            return str(accepted["id"])

        return list(threads.map(upload, drawn))


def _wait(url: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The results, each once it is there."""
    results: dict[str, dict[str, Any]] = {}
    with httpx.Client(timeout=60) as client:

        def are_done() -> bool:
            for one in ids:
                if one not in results and (answer := client.get(f"{url}/results/{one}")).status_code == 200:
                    results[one] = answer.json()["receipt"]
                elif one not in results:
                    return False
            return True

        wait_for(are_done, _SECONDS, "all results: `ocrvl receipts dlq list` would say what failed")
    return [results[one] for one in ids]


def show(console: Console, drawn: Sequence[DrawnReceipt], results: Sequence[dict[str, Any]], shown: int) -> None:
    """The first receipts' fields, with what was printed where it is another; then how many are right of all."""
    table = Table(title="what was read, and where that is wrong, what is printed")
    for name in (*_SHOWN, "items"):
        table.add_column(name)
    printed, right = Counter[str](), Counter[str]()
    for number, (receipt, result) in enumerate(zip(drawn, results, strict=True)):
        truth = receipt.truth.values
        values = {name: (result["fields"][name] or {}).get("value") for name in _FIELDS}
        for name in _FIELDS:
            printed[name] += truth.get(name) is not None
            right[name] += truth.get(name) is not None and values[name] == truth[name]
        if number < shown:
            cells = [_beside(values[name], truth.get(name)) for name in _SHOWN]
            table.add_row(*cells, _beside(len(result["fields"]["items"]), len(receipt.truth.items)))
    console.print(table)
    scores = Table(title=f"values of {len(drawn)} receipts")
    for title in ("field", "printed", "right"):
        scores.add_column(title)
    for name in _FIELDS:
        if printed[name]:
            scores.add_row(name, str(printed[name]), f"{right[name]} ({right[name] / printed[name]:.0%})")
    console.print(scores)
    console.print("the embedded checkpoints know drawn receipts alone: what they read of others proves nothing")


def _beside(read: object, truth: object) -> str:
    if read == truth:
        return escape(str("" if read is None else read))
    return f"[red]{escape(str(read))}[/red] (printed: {escape(str(truth))})"


def show_times(console: Console, workers: Sequence[PipelineProcess], count: int, upload: float, whole: float) -> None:
    """Where the time went: the workers' own stages, each receipt's mean."""
    samples = [sample for worker in workers for sample in worker.samples()]

    def total(name: str, stage: str) -> float:
        wanted = f"ocrvl_pipeline_stage_seconds_{name}"
        return sum(one.value for one in samples if one.name == wanted and one.labels["stage"] == stage)

    table = Table(
        title=f"{count} receipts in {whole:.1f} s, {count / whole:.2f} a second; uploading took {upload:.1f} s"
    )
    meanings = {
        Stage.FIND: "ask the store for a result",
        Stage.FETCH: "fetch the image",
        Stage.READ: "Triton: lines, their text, fields",
        Stage.WRITE: "write the result",
        Stage.PUBLISH: "send its event",
    }
    for title in ("stage", "", "seconds of a receipt"):
        table.add_column(title)
    for stage, meaning in meanings.items():
        table.add_row(stage, meaning, f"{total('sum', stage) / max(1, total('count', stage)):.3f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
