"""Callers of the client SDK for Locust: each reads one image after another through `ocrvl_client.Client`.

    locust -f perf/load/locustfile.py --headless --users 4 --run-time 1m --host localhost:8001 --images receipt

`--host` is host and port of the protocol that `--protocol` names. perf_analyzer measures the server; this measures what
callers of the SDK see, retries included.
"""

from __future__ import annotations

import time
from itertools import cycle, islice
from typing import Any

import grpc.experimental.gevent as grpc_gevent
from locust import User, constant, events, task

from ocrvl.wire import Model
from ocrvl_client import Client, OcrvlError, Retry
from perf.images import SizeClass, draw_files
from perf.load.input_data import COUNTS

# Locust's callers are greenlets of one thread. Without this a gRPC call waits in C, where gevent cannot switch: one
# caller at a time is served, and the end of --run-time is never noticed. gevent's pool of threads works too, for ten
# callers at a time. HTTP needs neither: that client is made of gevent.
grpc_gevent.init_gevent()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Our own options, on the command line and in Locust's web page."""
    parser.add_argument("--images", choices=list(SizeClass), default=SizeClass.RECEIPT.value, help="what to send")
    parser.add_argument("--protocol", choices=("grpc", "http"), default="grpc", help="what --host speaks")
    parser.add_argument("--attempts", type=int, default=1, help="how often the client tries a request; 1: no retry")


@events.test_start.add_listener
def draw_images(environment: Any, **_: Any) -> None:
    """Draw what all callers take from in turn, before the first of them starts."""
    size_class = SizeClass(environment.parsed_options.images)
    environment.images = cycle(list(islice(draw_files(size_class), COUNTS[size_class])))


class Reader(User):
    """A caller that sends its next image as soon as it has the text of the last."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Connect."""
        options = self.environment.parsed_options
        self._protocol = options.protocol
        self._name = f"{Model.OCR} {options.images}"
        self._client = Client(self.host, protocol=options.protocol, retry=Retry(attempts=options.attempts))

    def on_stop(self) -> None:
        """Disconnect."""
        self._client.close()

    @task
    def read(self) -> None:
        """Read an image and tell Locust how that went."""
        image = next(self.environment.images)
        reading, error = None, None
        began = time.perf_counter()
        try:
            reading = self._client.read(image)
        except OcrvlError as caught:
            error = caught
        self.environment.events.request.fire(
            request_type=self._protocol,
            name=self._name,
            response_time=1000 * (time.perf_counter() - began),
            response_length=len(reading.text.encode()) if reading else 0,
            exception=error,
            context={},
        )
