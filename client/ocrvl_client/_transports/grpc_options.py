"""How a gRPC channel is opened, for threads and for asyncio alike."""

from __future__ import annotations

from typing import Any, Final

from ocrvl_client._transports.protocol import Endpoint

_CHANNEL_OPTIONS: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # a server that was started again is found within two seconds; gRPC's own pauses grow to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # a host that vanished is noticed; not sooner, since Triton cuts the connection of who asks more often than each
    # five minutes while a request is under way (`--grpc-http2-min-recv-ping-interval-without-data`)
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # a name with several addresses, a headless service of Kubernetes for example, is several servers
    ("grpc.lb_policy_name", "round_robin"),
]


def client_arguments(endpoint: Endpoint) -> dict[str, Any]:
    """The arguments of tritonclient's gRPC clients."""
    arguments: dict[str, Any] = {"url": endpoint.url, "channel_args": _CHANNEL_OPTIONS}
    if tls := endpoint.tls:
        arguments |= {
            "ssl": True,
            "root_certificates": None if tls.ca is None else str(tls.ca),
            "certificate_chain": None if tls.certificate is None else str(tls.certificate),
            "private_key": None if tls.key is None else str(tls.key),
        }
    return arguments
