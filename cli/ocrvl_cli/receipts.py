"""`ocrvl receipts`: receipts in object storage, Kafka between, results beside them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.table import Table

from ocrvl_cli.extras import REST_OF_LINE, require_packages, settings_of
from ocrvl_cli.terminal import Console, Group, dump_json, echo, printable

if TYPE_CHECKING:
    from ocrvl_receipts.events import Message
    from ocrvl_receipts.settings import PipelineSettings

_PACKAGES = (
    *("confluent_kafka", "fastapi", "httptools", "obstore", "ocrvl_receipts", "opentelemetry"),
    *("prometheus_client", "pydantic_settings", "uvicorn"),
)

app = typer.Typer(
    cls=Group, help="Receipts by the million: uploads in, fields out, Kafka between.", no_args_is_help=True
)
dlq = typer.Typer(cls=Group, help="What could not be read (dead letter queue).", no_args_is_help=True)
app.add_typer(dlq, name="dlq")

Brokers = Annotated[str, typer.Option(envvar="OCRVL_RECEIPTS_BROKERS", help="Host and port of Kafka's brokers.")]
Properties = Annotated[
    Path | None, typer.Option(envvar="OCRVL_RECEIPTS_KAFKA_PROPERTIES", help="A file of librdkafka's properties.")
]
Prefix = Annotated[str, typer.Option(envvar="OCRVL_RECEIPTS_TOPIC_PREFIX", help="What the topics' names begin with.")]
Code = Annotated[str | None, typer.Option(help="Those with this code alone.")]


@app.callback()
def _all_commands() -> None:
    require_packages(_PACKAGES, "receipts", "receipts in object storage")


@app.command(context_settings=REST_OF_LINE)
def front(context: typer.Context) -> None:
    """Serve the front end: leave to upload, completed uploads, the store's notifications, results.

    What follows are its settings, which `ocrvl receipts front --help` lists.

    Example: ocrvl receipts front --brokers localhost:9092 --endpoint http://localhost:9000 --port 8090
    """
    from ocrvl_receipts.settings import FrontSettings, read_settings

    settings = settings_of(lambda: read_settings(FrontSettings, "front", context.args))
    from ocrvl_receipts.front.serve import serve

    _log()
    serve(settings)


@app.command(context_settings=REST_OF_LINE)
def worker(context: typer.Context) -> None:
    """Read uploaded receipts until SIGTERM, which lets those in flight finish.

    What follows are its settings, which `ocrvl receipts worker --help` lists.

    Example: ocrvl receipts worker --brokers localhost:9092 --server localhost:8001
    """
    from ocrvl_receipts.settings import WorkerSettings, read_settings

    settings = settings_of(lambda: read_settings(WorkerSettings, "worker", context.args))
    from ocrvl_receipts.worker.serve import serve

    _log()
    asyncio.run(serve(settings))


@dlq.command(name="list")
def list_failures(
    brokers: Brokers = "localhost:9092",
    kafka_properties: Properties = None,
    topic_prefix: Prefix = "receipts",
    code: Code = None,
    as_json: Annotated[bool, typer.Option("--json", help="An object a line.")] = False,
) -> None:
    """List what failed for good: place, code, attempts, where its event stood first, key.

    Example: ocrvl receipts dlq list --code not_found
    """
    from ocrvl_receipts.dlq import describe

    found = [describe(message) for message in _read(_settings(brokers, kafka_properties, topic_prefix), code)]
    if as_json:
        for one in found:
            echo(dump_json(one))
        return
    table = Table(box=None)
    for title in ("place", "code", "attempts", "failed at", "source", "key"):
        table.add_column(title, overflow="fold")
    for one in found:
        names = ("place", "code", "attempts", "failed_at", "source", "key")
        table.add_row(*(printable(str(one[name])) for name in names))
    Console().print(table if found else "nothing has failed")


@dlq.command()
def show(
    place: Annotated[str, typer.Argument(help="Partition and offset, as `list` has them: 0/17.")],
    brokers: Brokers = "localhost:9092",
    kafka_properties: Properties = None,
    topic_prefix: Prefix = "receipts",
) -> None:
    """Show one failure whole, as JSON: its event and its headers too.

    Example: ocrvl receipts dlq show 0/17
    """
    from ocrvl_receipts.dlq import describe

    (message,) = _choose(_read(_settings(brokers, kafka_properties, topic_prefix), None), [place])
    echo(dump_json(describe(message), indent=2))


@dlq.command()
def replay(
    places: Annotated[list[str] | None, typer.Argument(help="Partitions and offsets: 0/17 3/2.")] = None,
    brokers: Brokers = "localhost:9092",
    kafka_properties: Properties = None,
    topic_prefix: Prefix = "receipts",
    code: Code = None,
    every: Annotated[bool, typer.Option("--all", help="All that have failed.")] = False,
) -> None:
    """Have failures read once more: their events are sent to `todo` again. There is one result, however often.

    Example: ocrvl receipts dlq replay --code access_denied
    """
    from ocrvl_receipts.dlq import is_replayable
    from ocrvl_receipts.dlq import replay as send
    from ocrvl_receipts.kafka.producer import NotDelivered

    if not (places or code or every):
        raise typer.BadParameter("expected places, --code or --all")
    settings = _settings(brokers, kafka_properties, topic_prefix)
    found = _read(settings, code)
    chosen = _choose(found, places) if places else found
    whole = [message for message in chosen if is_replayable(message)]
    try:
        asyncio.run(send(settings, whole))
    except NotDelivered as error:
        _end(f"not all were sent, so repeat this: {error}")
    echo(f"{len(whole)} sent to {settings.todo}")
    if lost := len(chosen) - len(whole):
        _end(f"{lost} not sent: their events were too large to be kept, `list` says where they stood")


def _log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def _settings(brokers: str, properties: Path | None, prefix: str) -> PipelineSettings:
    from ocrvl_receipts.settings import PipelineSettings, read_settings

    arguments = ["--brokers", brokers, "--topic-prefix", prefix]
    arguments += ["--kafka-properties", str(properties)] if properties else []
    return settings_of(lambda: read_settings(PipelineSettings, "dlq", arguments))


def _read(settings: PipelineSettings, code: str | None) -> list[Message]:
    from ocrvl_receipts.dlq import BrokerFailed, describe, read_dlq

    try:
        return [message for message in read_dlq(settings) if code is None or describe(message)["code"] == code]
    except BrokerFailed as error:
        _end(str(error))


def _choose(messages: list[Message], places: list[str]) -> list[Message]:
    by_place = {f"{message.partition}/{message.offset}": message for message in messages}
    if unknown := [place for place in places if place not in by_place]:
        _end(f"not in the dlq: {', '.join(unknown)}")
    return [by_place[place] for place in places]


def _end(message: str) -> NoReturn:
    Console(stderr=True).print(message, style="red")
    raise typer.Exit(1)
