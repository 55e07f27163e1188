"""`ocrvl probe`: what it concludes from what a server says, and how it asks."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image
from typer.testing import CliRunner

from ocrvl.options import parse_options
from ocrvl.wire import EngineState
from ocrvl_cli import app
from ocrvl_client.metrics import Answer, HttpFetch, Sample, parse_samples, read_engine_states
from ocrvl_client.probe import ProbeResult, ProbeSettings, probe_server

NOW = 1_800_000_000.0
OK = Answer(200, "")
READ = Answer(200, '{"error":"","text":""}')
REFUSED = ConnectionRefusedError(111, "Connection refused")


@dataclass
class FakeServer:
    """Answers by path; an exception is raised instead. Keeps what it was asked."""

    answers: dict[str, Answer | OSError]
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, path: str, timeout: float, body: bytes | None = None) -> Answer:
        assert 0 < timeout <= 5
        self.asked.append(path)
        if body is not None:
            self.bodies.append(body)
        answer = self.answers[path]
        if isinstance(answer, OSError):
            raise answer
        return answer


def server(image: Answer | OSError = READ, health: Answer | OSError = OK) -> FakeServer:
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
    return FakeServer({"/metrics": Answer(200, "\n".join(["nv_inference_count 3", *parts]))})


def result_of(
    fake: FakeServer, metrics: FakeServer | None, *, live: bool = False, heartbeat_age: float = 10
) -> ProbeResult:
    settings = ProbeSettings(live=live, heartbeat_age=heartbeat_age)
    return probe_server(settings, fake, metrics, wall_clock=lambda: NOW, clock=lambda: 7.0)


UNREACHABLE = FakeServer({"/metrics": REFUSED})
BUSY = engine(step=2, images=3)
FULL = Answer(503, '{"error":"Exceeds maximum queue size"}')
FULL_IN_AN_ENSEMBLE = Answer(500, '{"error":"in ensemble \'ocr\', [request id: 1] Exceeds maximum queue size"}')
FULL_AT_OUR_DOOR = Answer(500, '{"error":"in ensemble \'ocr\', [UNAVAILABLE] the server is full"}')
WAITED_TOO_LONG = Answer(500, '{"error":"Request timeout expired"}')
DEAD_STUB = Answer(400, "{\"error\":\"in ensemble 'ocr', Stub process 'engine_0_0' is not healthy.\"}")
UNKNOWN_MODEL = Answer(404, '{"error":"Request for unknown model"}')

TABLE: list[tuple[str, FakeServer, FakeServer | None, bool, bool, str]] = [
    # what is so, the server, its metrics, ready, live, words of the readiness result
    ("it is idle and reads", server(), metrics(engine()), True, True, "a test image was read"),
    ("it is at work", server(TimeoutError()), metrics(BUSY), True, True, "engine_0_0 is at work: 3 images in flight"),
    ("it refuses while at work", server(FULL), metrics(BUSY), True, True, "at work"),
    ("one of two engines is at work", server(DEAD_STUB), metrics(engine("e_0_0"), BUSY), True, True, "engine_0_0"),
    ("its last step is old", server(TimeoutError()), metrics(engine(step=11, images=3)), False, False, "not read"),
    ("it is idle after a step", server(DEAD_STUB), metrics(engine(step=2)), False, False, "is not healthy"),
    ("it is full", server(FULL), metrics(engine()), False, True, "refused: 503, Exceeds maximum queue size"),
    ("it is full behind an ensemble", server(FULL_IN_AN_ENSEMBLE), metrics(engine()), False, True, "refused"),
    ("it is full at the door", server(FULL_AT_OUR_DOOR), metrics(engine()), False, True, "the server is full"),
    ("its queue gave up", server(WAITED_TOO_LONG), metrics(engine()), False, True, "refused"),
    ("it does not answer", server(TimeoutError()), metrics(engine()), False, False, "was not read within 5.0 s"),
    ("it hangs up", server(ConnectionResetError("reset")), metrics(engine()), False, False, "not read: reset"),
    ("it has no such model", server(UNKNOWN_MODEL), metrics(engine()), False, False, "failed: 404"),
    ("it is not there", server(health=REFUSED), UNREACHABLE, False, False, "no server: [Errno 111]"),
    ("its health hangs", server(health=TimeoutError()), UNREACHABLE, False, False, "no answer from /v2/health/ready"),
    ("its health is bad", server(health=Answer(400, "")), metrics(engine()), False, False, "answers 400"),
    ("a process is silent", server(), metrics(engine(), heartbeat("pre_0_1", 34)), False, False, "pre_0_1 for 34 s"),
    ("its engine hangs", server(), metrics(engine(images=1, step=1, beat=11)), False, False, "engine_0_0 for 11 s"),
    ("a clock is ahead", server(), metrics(engine(beat=-5)), True, True, "was read"),
    (
        "the clock was set back after a process died",
        server(),
        metrics(engine(), heartbeat("pre_0_1", -3600)),
        *(False, False, "pre_0_1, whose last is 3600 s ahead of this clock"),
    ),
    (
        "the clock was set back after an engine hung",
        server(DEAD_STUB),
        metrics(engine(step=-3600, images=3)),
        *(False, False, "is not healthy"),
    ),
    (
        "the clock was set ahead, and everything beat since",
        server(),
        metrics(engine(step=3600)),
        True,
        True,
        "was read",
    ),
    ("all its engines restart", server(DEAD_STUB), metrics(engine(state=0)), False, True, "engine_0_0 is starting"),
    ("all its engines gave up", server(), metrics(engine(state=-1)), False, False, "engine_0_0 gave up"),
    ("no state is known", server(), metrics(engine(state=7)), False, False, "in no known state"),
    (
        "one engine gave up, one restarts",
        server(),
        metrics(engine("e_0_0", state=-1), engine("e_0_1", state=0)),
        *(False, True, "e_0_0 gave up, e_0_1 is starting"),
    ),
    ("one engine of two is ready", server(), metrics(engine("e_0_0", state=-1), engine()), True, True, "was read"),
    ("a dead engine was at work", server(DEAD_STUB), metrics(engine(state=0, step=2, images=3)), False, True, "no"),
    ("its metrics cannot be had", server(), UNREACHABLE, True, True, "was read"),
    ("its metrics cannot be had and it is full", server(FULL), UNREACHABLE, False, True, "refused"),
    ("its metrics cannot be had and it is dead", server(DEAD_STUB), UNREACHABLE, False, False, "not healthy"),
    ("its metrics are not ours", server(), metrics(), True, True, "was read"),
    ("its metrics fail", server(), FakeServer({"/metrics": Answer(500, BUSY)}), True, True, "was read"),
    ("its metrics are not asked for", server(DEAD_STUB), None, False, False, "not healthy"),
]


@pytest.mark.parametrize(("case", "fake", "seen", "ready", "live", "words"), TABLE, ids=[row[0] for row in TABLE])
def test_readiness_and_liveness(
    case: str, fake: FakeServer, seen: FakeServer | None, ready: bool, live: bool, words: str
) -> None:
    readiness = result_of(fake, seen)
    assert readiness.healthy is ready
    assert words in readiness.reason
    assert result_of(fake, seen, live=True).healthy is live


def test_liveness_asks_whether_the_server_lives_and_not_whether_its_models_are_ready() -> None:
    fake = server()
    fake.answers["/v2/health/ready"] = Answer(400, "")
    assert result_of(fake, metrics(engine()), live=True).healthy
    assert not result_of(fake, metrics(engine())).healthy


def test_an_engine_at_work_is_not_given_a_test_image() -> None:
    fake = server()
    result_of(fake, metrics(BUSY))
    assert fake.asked == ["/v2/health/ready"]


def test_the_age_of_a_heartbeat_is_a_setting() -> None:
    seen = metrics(engine(beat=20))
    assert not result_of(server(), seen).healthy
    assert result_of(server(), seen, heartbeat_age=30).healthy


def test_metrics_that_can_not_be_had_are_told() -> None:
    (told,) = [line for line in result_of(server(), UNREACHABLE).details if "metrics" in line]
    assert "Connection refused" in told


def test_the_test_image_is_a_small_image_with_options_that_the_server_knows() -> None:
    fake = server()
    result_of(fake, None)
    (body,) = map(json.loads, fake.bodies)
    options = parse_options(body["options"].encode())
    assert options.max_tokens == 1
    assert options.timeout_ms == 5000
    with Image.open(io.BytesIO(base64.b64decode(body["image"]))) as image:
        assert image.size == (28, 28)
        image.load()


def test_samples_are_read_as_prometheus_writes_them() -> None:
    text = (
        "# HELP ocrvl_a What it is\n# TYPE ocrvl_a gauge\n\nocrvl_a 1\n"
        'ocrvl_b{replica="x_0_0",reason="a \\"quoted\\" } word"} 1.5e+09 1700000000000\n'
        'ocrvl_c{} NaN\nnv_gpu_power 3\nocrvl_d\nocrvl_e{replica="x"} much\n'
    )
    first, second, third = parse_samples(text)
    assert first == Sample("ocrvl_a", {}, 1)
    assert second == Sample("ocrvl_b", {"replica": "x_0_0", "reason": 'a \\"quoted\\" } word'}, 1.5e9)
    assert third.name == "ocrvl_c"


@pytest.mark.parametrize(
    ("fake", "states"),
    [
        (metrics(engine("e_0_0", state=-1), engine("e_0_1")), {"e_0_0": EngineState.GAVE_UP, "e_0_1": 1}),
        (metrics(), {}),
        (UNREACHABLE, {}),
        (FakeServer({"/metrics": Answer(500, BUSY)}), {}),
    ],
)
def test_states_of_engines_are_read_and_none_where_metrics_are_off(fake: FakeServer, states: dict[str, float]) -> None:
    assert read_engine_states(fake, 1) == states


Handler = Callable[[BaseHTTPRequestHandler], None]


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


def echo(request: BaseHTTPRequestHandler) -> None:
    length = int(request.headers.get("Content-Length", 0))
    said = [request.command, request.path, str(request.headers["Content-Type"]), request.rfile.read(length).decode()]
    say(request, 418, " ".join(said))


def test_questions_are_asked_over_http() -> None:
    with listening(echo) as port:
        fetch = HttpFetch("127.0.0.1", port)
        assert fetch("/metrics", 5) == Answer(418, "GET /metrics None ")
        assert fetch("/x", 5, b"{}") == Answer(418, "POST /x application/json {}")


def test_questions_pass_by_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with listening(echo) as port:
        assert HttpFetch("127.0.0.1", port)("/", 5).status == 418


def test_what_is_no_http_is_an_os_error() -> None:
    def babble(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"SSH-2.0\r\n")

    with listening(babble) as port, pytest.raises(OSError, match="no HTTP answer"):
        HttpFetch("127.0.0.1", port)("/", 5)


def test_silence_is_a_timeout() -> None:
    enough = threading.Event()

    def wait(request: BaseHTTPRequestHandler) -> None:
        enough.wait(20)

    with listening(wait) as port:
        with pytest.raises(TimeoutError):
            HttpFetch("127.0.0.1", port)("/", 0.2)
        enough.set()


def triton(request: BaseHTTPRequestHandler) -> None:
    """A server that is full, but ready for all else."""
    request.rfile.read(int(request.headers.get("Content-Length", 0)))
    if request.path.startswith("/v2/models"):
        say(request, 503, '{"error":"Exceeds maximum queue size"}')
    else:
        say(request, 200, "")


@pytest.mark.parametrize(
    ("options", "status", "lines"),
    [
        ([], 1, ["unhealthy: a test image was refused: 503, Exceeds maximum queue size"]),
        (["--live"], 0, ["healthy: a test image was refused: 503, Exceeds maximum queue size"]),
        (["--quiet"], 1, []),
        (["--quiet", "--verbose"], 1, []),
    ],
)
def test_the_command_tells_by_its_status_and_one_line(options: list[str], status: int, lines: list[str]) -> None:
    with listening(triton) as port:
        done = CliRunner().invoke(app, ["probe", "--url", f"127.0.0.1:{port}", "--metrics-url", "", *options])
    assert done.exit_code == status
    assert done.output.splitlines() == lines


def test_the_command_prints_all_that_was_checked() -> None:
    with listening(triton) as port:
        url = f"127.0.0.1:{port}"
        done = CliRunner().invoke(app, ["probe", "--verbose", "--url", url, "--metrics-url", url])
    assert done.output.splitlines()[:2] == [
        "/v2/health/ready answers 200",
        "metrics (status 200) have none of ours, so an image alone decides",
    ]


@pytest.mark.parametrize("url", ["http://localhost:8000", "localhost", "localhost:http", ":8000"])
def test_a_url_that_is_no_host_and_port_is_refused(url: str) -> None:
    done = CliRunner().invoke(app, ["probe", "--url", url])
    assert done.exit_code == 2
    assert "expected host and port" in done.output
