"""Settings of the pipeline's commands: from their arguments, else the environment (`OCRVL_RECEIPTS_…`), checked once.

The store's credentials are AWS's own, as its clients find them: `AWS_ACCESS_KEY_ID` and others, a web identity, a role.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, Field, FilePath, NonNegativeInt, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from ocrvl_gateway.command_settings import Address, InvalidSettings, Key, Port, Seconds, Split, parse_settings

PREFIX: Final = "OCRVL_RECEIPTS_"

S = TypeVar("S", bound="PipelineSettings")

_OURS: Final = frozenset({"bootstrap.servers", "group.id", "enable.auto.commit", "enable.auto.offset.store"})
"""Properties of Kafka's client that the pipeline itself decides."""


def _check_properties(path: Path) -> Path:
    read_properties(path)
    return path


class PipelineSettings(BaseSettings):
    """What all commands need: the broker, the topics, the store. Lists have commas between their items."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_parse_none_str="none", frozen=True, extra="forbid", cli_kebab_case=True
    )

    brokers: Annotated[list[Address], *Split, Field(min_length=1)] = Field(
        ["localhost:9092"], description="host and port of Kafka's brokers, some of them are enough"
    )
    kafka_properties: Annotated[FilePath, AfterValidator(_check_properties)] | None = Field(
        None, description="a file of librdkafka's properties, `name=value` in each line, for TLS and SASL for example"
    )
    topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,200}$")] = Field(
        "receipts", description="what the topics' names begin with: `receipts.todo` and so on"
    )
    partitions: NonNegativeInt = Field(
        12, description="partitions of topics that do not exist yet, so workers at most; 0 makes no topics"
    )
    retry_delays: Annotated[list[Seconds], *Split] = Field(
        [10.0, 60.0, 600.0], description="seconds before each retry of a receipt that failed, a topic for each"
    )

    @property
    def todo(self) -> str:
        """The topic of uploads."""
        return f"{self.topic_prefix}.todo"

    @property
    def done(self) -> str:
        """The topic of results."""
        return f"{self.topic_prefix}.done"

    @property
    def dlq(self) -> str:
        """The topic of what can never succeed (dead letter queue)."""
        return f"{self.topic_prefix}.dlq"

    @property
    def retries(self) -> tuple[str, ...]:
        """The topics of what failed, by their delays."""
        return tuple(f"{self.topic_prefix}.retry-{number}" for number in range(1, len(self.retry_delays) + 1))


class StoreSettings(PipelineSettings):
    """The object store, for those who read or write objects."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]+/?$")] | None = Field(
        None, description="URL of the object store; AWS's own unless set"
    )
    region: str = Field("us-east-1", description="the store's region")
    buckets: Annotated[list[str], *Split, Field(min_length=1)] = Field(
        ["receipts"], description="buckets that receipts may be read from; uploads go to the first"
    )
    results_bucket: str = Field("receipts-results", description="the bucket that results are written to")
    results_prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+/)*$")] = Field(
        "", description="what the keys of results begin with, `fields/` for example"
    )
    pipeline_version: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "1", description="part of a result's name: with another one, receipts are read again"
    )
    max_bytes: PositiveInt = Field(20_971_520, description="bytes of a receipt; a longer one is refused unread")


class WorkerSettings(StoreSettings):
    """The settings of `ocrvl receipts worker`."""

    server: Annotated[list[Address], *Split, Field(min_length=1)] = Field(
        ["localhost:8001"], description="host and port of Triton's gRPC endpoint; several are balanced"
    )
    tls: bool = Field(False, description="connect to Triton over TLS")
    ca: FilePath | None = Field(
        None, description="certificates that Triton's own is checked with; the system's unless set"
    )
    certificate: FilePath | None = Field(None, description="this worker's certificate for Triton, with `key`")
    key: FilePath | None = Field(None, description="the key of `certificate`")
    timeout: Seconds = Field(120.0, description="seconds that Triton may take for a receipt")
    group: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        "ocrvl-receipts", description="the consumer group that workers share"
    )
    concurrency: Annotated[int, Field(ge=1, le=4096)] = Field(16, description="receipts in flight at a time")
    window: PositiveInt = Field(
        64,
        description="receipts that are taken and not committed: what a killed worker leaves to be read again, at most",
    )
    session_timeout: Annotated[float, Field(ge=1, le=1800)] = Field(
        45.0, description="seconds after which the group gives a silent worker's partitions to others"
    )
    drain_timeout: Seconds = Field(30.0, description="seconds that receipts in flight may take after a stop")
    metrics_host: str = Field("127.0.0.1", description="the address that metrics are served on")
    metrics_port: Port = Field(9464, description="the port that metrics are served on; 0 chooses a free one")


class FrontSettings(StoreSettings):
    """The settings of `ocrvl receipts front`."""

    host: str = Field("127.0.0.1", description="the address to listen on; `0.0.0.0` opens it to the network")
    port: Port = Field(8090, description="the port to listen on; 0 chooses a free one")
    upload_prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+/)*$")] = Field(
        "uploads/", description="what the keys of uploads begin with"
    )
    upload_seconds: Annotated[int, Field(ge=1, le=604_800)] = Field(
        900, description="seconds that an upload's URL is valid"
    )
    public_endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]+/?$")] | None = Field(
        None, description="URL of the store as callers reach it, where that is another than `endpoint`"
    )
    max_body_bytes: PositiveInt = Field(1_048_576, description="bytes of a request; images do not come this way")
    max_in_flight: PositiveInt = Field(256, description="requests at a time; others get a 503")
    rate_limit: NonNegativeInt = Field(
        0, description="requests that a key, or without keys an address, may send a minute; 0 is no limit"
    )
    api_keys: Annotated[list[Key], *Split] = Field(
        [], description="API keys, of which a request must bring one, each as it is or as `sha256:` and its hash"
    )
    timeout: Seconds = Field(30.0, description="seconds that the store and the broker may take for a request")
    receive_timeout: Seconds = Field(30.0, description="seconds that a request may take to arrive")
    drain_timeout: PositiveInt = Field(30, description="seconds that requests in flight may take after a stop")
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        description="proxies whose `X-Forwarded-For` is trusted, addresses and networks with commas between; "
        "`*` is the one in front, whichever it is",
    )
    openapi: bool = Field(True, description="serve `/openapi.json`")


def read_settings(
    kind: type[S], command: str, arguments: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> S:
    """The settings of one command. Raises as `parse_settings`."""
    program = f"ocrvl receipts {command}"
    settings = parse_settings(kind, program, arguments, environment, family=(WorkerSettings, FrontSettings))
    if isinstance(settings, WorkerSettings):
        if (settings.certificate is None) != (settings.key is None):
            raise InvalidSettings("--certificate, --key: one goes with the other")
        if (settings.ca or settings.certificate) and not settings.tls:
            raise InvalidSettings("--ca, --certificate: they go with --tls true")
        if settings.window < settings.concurrency:
            raise InvalidSettings("--window: less than --concurrency, so the window could never hold what is in flight")
    return settings


def read_properties(path: Path) -> dict[str, str]:
    """Properties of Kafka's client from a file. Raises `ValueError` that names the line."""
    properties = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not (text := line.strip()) or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{path}:{number}: expected name=value")
        if name.strip() in _OURS:
            raise ValueError(f"{path}:{number}: {name.strip()} is decided by the pipeline")
        properties[name.strip()] = value.strip()
    return properties
