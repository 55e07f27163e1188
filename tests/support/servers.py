"""Servers whose health and metrics a test decides, as doubles of one request and as real ones over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ocrvl_client.metrics import HttpResponse

Handler = Callable[[BaseHTTPRequestHandler], None]
NOW = 1_800_000_000.0
OK = HttpResponse(200, "")
READ = HttpResponse(200, '{"error":"","text":""}')
REFUSED = ConnectionRefusedError(111, "Connection refused")


@dataclass
class FakeServer:
    """Answers by path; an exception is raised instead. Keeps what it was asked."""

    answers: dict[str, HttpResponse | OSError]
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, path: str, timeout: float, body: bytes | None = None) -> HttpResponse:
        assert 0 < timeout <= 5
        self.asked.append(path)
        if body is not None:
            self.bodies.append(body)
        answer = self.answers[path]
        if isinstance(answer, OSError):
            raise answer
        return answer


def server(image: HttpResponse | OSError = READ, health: HttpResponse | OSError = OK) -> FakeServer:
    return FakeServer({"/v2/health/ready": health, "/v2/health/live": health, "/v2/models/ocr/generate": image})


def engine(replica: str = "engine_0_0", *, state: int = 1, step: float = 1e9, images: int = 0, beat: float = 1) -> str:
    """The metrics of an engine whose last step and heartbeat are so many seconds ago."""
    return "\n".join(
        [
            "# TYPE ocrvl_engine_state gauge",
            f'ocrvl_engine_state{{replica="{replica}"}} {state}.000000',
            f'ocrvl_engine_last_step_timestamp_seconds{{replica="{replica}"}} {NOW - step:.6f}',
            f'ocrvl_engine_images_in_flight{{replica="{replica}"}} {images}',
            heartbeat(replica, beat),
        ]
    )


def heartbeat(replica: str, age: float) -> str:
    return f'ocrvl_heartbeat_timestamp_seconds{{replica="{replica}"}} {NOW - age:.6f}'


def metrics(*parts: str) -> FakeServer:
    return FakeServer({"/metrics": HttpResponse(200, "\n".join(["nv_inference_count 3", *parts]))})


UNREACHABLE = FakeServer({"/metrics": REFUSED})
BUSY = engine(step=2, images=3)


@contextmanager
def listening(handle: Handler) -> Iterator[int]:
    """A real HTTP server; its port."""

    class Requests(BaseHTTPRequestHandler):
        do_GET = do_POST = handle  # noqa: N815 - its names there

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Requests) as httpd:
        httpd.daemon_threads = True
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd.server_address[1]
        httpd.shutdown()
        thread.join()


def say(request: BaseHTTPRequestHandler, status: int, text: str) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text.encode())
