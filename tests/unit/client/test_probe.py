"""`ocrvl_client.probe`: what it concludes from what a server says."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image

from ocrvl.options import parse_options
from ocrvl_client.metrics import HttpResponse
from ocrvl_client.probe import ProbeResult, ProbeSettings, probe_server
from tests.support.servers import (
    BUSY,
    NOW,
    REFUSED,
    UNREACHABLE,
    FakeServer,
    engine,
    heartbeat,
    metrics,
    server,
)


def result_of(
    fake: FakeServer, metrics: FakeServer | None, *, live: bool = False, heartbeat_age: float = 10
) -> ProbeResult:
    settings = ProbeSettings(live=live, heartbeat_age=heartbeat_age)
    return probe_server(settings, fake, metrics, wall_clock=lambda: NOW, clock=lambda: 7.0)


FULL = HttpResponse(503, '{"error":"Exceeds maximum queue size"}')
FULL_IN_AN_ENSEMBLE = HttpResponse(500, '{"error":"in ensemble \'ocr\', [request id: 1] Exceeds maximum queue size"}')
ADMISSION_FULL = HttpResponse(500, '{"error":"in ensemble \'ocr\', [UNAVAILABLE] the server is full"}')
WAITED_TOO_LONG = HttpResponse(500, '{"error":"Request timeout expired"}')
DEAD_STUB = HttpResponse(400, "{\"error\":\"in ensemble 'ocr', Stub process 'engine_0_0' is not healthy.\"}")
UNKNOWN_MODEL = HttpResponse(404, '{"error":"Request for unknown model"}')

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
    ("admission is full", server(ADMISSION_FULL), metrics(engine()), False, True, "the server is full"),
    ("its queue gave up", server(WAITED_TOO_LONG), metrics(engine()), False, True, "refused"),
    ("it does not answer", server(TimeoutError()), metrics(engine()), False, False, "was not read within 5.0 s"),
    ("it hangs up", server(ConnectionResetError("reset")), metrics(engine()), False, False, "not read: reset"),
    ("it has no such model", server(UNKNOWN_MODEL), metrics(engine()), False, False, "failed: 404"),
    ("no server", server(health=REFUSED), UNREACHABLE, False, False, "no server: [Errno 111]"),
    ("its health hangs", server(health=TimeoutError()), UNREACHABLE, False, False, "no answer from /v2/health/ready"),
    ("its health is bad", server(health=HttpResponse(400, "")), metrics(engine()), False, False, "answers 400"),
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
    ("its metrics fail", server(), FakeServer({"/metrics": HttpResponse(500, BUSY)}), True, True, "was read"),
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
    fake.answers["/v2/health/ready"] = HttpResponse(400, "")
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


def test_missing_metrics_are_among_the_details() -> None:
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
