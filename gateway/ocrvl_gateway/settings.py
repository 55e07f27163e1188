"""Settings of the gateway: from the command line, else the environment (`OCRVL_GATEWAY_…`), checked once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field, FilePath, NonNegativeInt, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from ocrvl_gateway.command_settings import Address, InvalidSettings, Key, Port, Seconds, Split, parse_settings

PREFIX: Final = "OCRVL_GATEWAY_"

SERVED_MODEL_NAMES: Final = ("PaddleOCR-VL-1.6-0.9B", "PaddleOCR-VL-1.5-0.9B", "PaddleOCR-VL-0.9B")
"""The names by which PaddleOCR's client asks for the model, the newest first."""


def _check_host(value: str) -> str:
    if not re.fullmatch(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?", value):
        raise ValueError(f"{value!r}: expected the name of a host, like files.example.com or *.example.com")
    return value


Host = Annotated[str, AfterValidator(_check_host)]


class GatewaySettings(BaseSettings):
    """The settings of `ocrvl gateway`. Lists have commas between their items."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_parse_none_str="none", frozen=True, extra="forbid", cli_kebab_case=True
    )

    host: str = Field("127.0.0.1", description="address to listen on; `0.0.0.0` opens it to the network")
    port: Port = Field(8080, description="port to listen on; 0 chooses a free one")
    server: Annotated[list[Address], *Split, Field(min_length=1)] = Field(
        ["localhost:8001"], description="Triton's gRPC endpoint; several are balanced"
    )
    tls: bool = Field(False, description="connect to Triton over TLS")
    ca: FilePath | None = Field(
        None, description="authorities that Triton's certificate is checked with; the system's unless set"
    )
    certificate: FilePath | None = Field(None, description="this gateway's certificate for Triton, with `key`")
    key: FilePath | None = Field(None, description="the key of `certificate`")
    timeout: Seconds = Field(300.0, description="seconds that an image may take")
    document_timeout: Seconds = Field(3600.0, description="seconds that a document may take")
    drain_timeout: PositiveInt = Field(30, description="seconds for requests in flight after a stop")

    receive_timeout: Seconds = Field(120.0, description="seconds that a request may take to arrive")
    send_timeout: Seconds = Field(60.0, description="seconds that an answer waits for its client to read of it")
    restructure_timeout: Seconds = Field(60.0, description="seconds that `/restructure-pages` may take")

    served_model_names: Annotated[list[str], *Split, Field(min_length=1)] = Field(
        list(SERVED_MODEL_NAMES),
        description="model names in chat completions; the first is what clients choose",
    )
    max_tokens: PositiveInt | None = Field(
        None,
        description="most tokens of an answer, whatever is asked; 4096 or what the model's length leaves unless set",
    )
    visualize: bool = Field(
        True, description="`/layout-parsing` sends images of pages, unless the request says otherwise"
    )

    max_body_bytes: PositiveInt = Field(100_663_296, description="bytes of a request")
    max_total_body_bytes: PositiveInt = Field(
        1_073_741_824, description="bytes of all requests in memory; others get a 503"
    )
    max_pages: PositiveInt = Field(200, description="pages of a document")
    max_in_flight: PositiveInt = Field(256, description="inference requests at a time; others get a 503")
    rate_limit: NonNegativeInt = Field(
        0, description="inference requests a minute of a key, or without keys of an address; 0: no limit"
    )
    api_keys: Annotated[list[Key], *Split] = Field(
        [], description="API keys, of which a request must bring one, as they are or as `sha256:` and the hash"
    )
    url_hosts: Annotated[list[Host], *Split] = Field(
        [], description="hosts that images and files may be fetched from, `*.` for all below a name"
    )
    cors_origins: Annotated[list[str], *Split] = Field(
        [], description="origins of other web pages that may use this gateway"
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        description="proxies whose `X-Forwarded-For` is trusted, addresses and networks; `*` is the one in front",
    )
    openapi: bool = Field(True, description="serve `/openapi.json`")


def read_settings(arguments: Sequence[str] = (), environment: Mapping[str, str] = os.environ) -> GatewaySettings:
    """The settings from the command line's arguments and the environment.

    Raises `InvalidSettings` for what is unknown or impossible, and `SystemExit` for `--help` or an unknown argument.
    """
    settings = parse_settings(GatewaySettings, "ocrvl gateway", arguments, environment)
    if settings.max_total_body_bytes < settings.max_body_bytes:
        raise InvalidSettings("--max-total-body-bytes: less than --max-body-bytes, so the longest could never come")
    if (settings.certificate is None) != (settings.key is None):
        raise InvalidSettings("--certificate, --key: one goes with the other")
    if (settings.ca or settings.certificate) and not settings.tls:
        raise InvalidSettings("--ca, --certificate: they go with --tls true")
    return settings
