"""`ocrvl.metrics`: what arrives in Triton, with a Triton in memory that refuses what the real one refuses."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ocrvl.errors import Cancelled, InternalError, InvalidArgument, Unavailable
from ocrvl.metrics.definitions import EngineMetrics, ModelMetrics, Outcome, PreprocessMetrics, RefusalReason
from ocrvl.metrics.mirror import Kind, Labels, Mirror
from ocrvl.metrics.publisher import Publisher

REPLICA = {"replica": "paddleocr_vl_0_0"}


class FakeSeries:
    def __init__(self, triton: FakeTriton, kind: Kind, at: tuple[str, frozenset[tuple[str, str]]]) -> None:
        self._triton, self._kind, self._at = triton, kind, at
        triton.values.setdefault(at, 0.0)

    def increment(self, value: float, /) -> None:
        self._triton.take_call()
        if self._kind is Kind.COUNTER and value < 0:
            raise RuntimeError("counters can only be incremented monotonically by non-negative values")
        self._triton.values[self._at] += value

    def set(self, value: float, /) -> None:
        self._triton.take_call()
        if self._kind is Kind.COUNTER:
            raise RuntimeError("TRITONSERVER_METRIC_KIND_COUNTER does not support Set")
        self._triton.values[self._at] = value


class FakeFamily:
    def __init__(self, triton: FakeTriton, name: str, kind: Kind) -> None:
        self._triton, self._name, self._kind = triton, name, kind

    def Metric(self, *, labels: Labels) -> FakeSeries:  # noqa: N802
        self._triton.take_call()
        if not all(isinstance(value, str) for value in labels.values()):
            raise RuntimeError("attempt to access JSON non-string as string")
        if not all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", label) for label in labels):
            raise RuntimeError("Invalid label name")
        return FakeSeries(self._triton, self._kind, (self._name, frozenset(labels.items())))


@dataclass
class FakeTriton:
    """The series of all processes, which outlive them. The call numbered `failing_call` fails."""

    values: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    calls: int = 0
    failing_call: int | None = None

    def __call__(self, name: str, description: str, kind: Kind) -> FakeFamily:
        self.take_call()
        if not re.fullmatch("[a-zA-Z_:][a-zA-Z0-9_:]*", name):
            raise RuntimeError("Invalid metric name")
        if self.kinds.setdefault(name, kind) is not kind:
            raise RuntimeError("Family name already exists with different type")
        return FakeFamily(self, name, kind)

    def take_call(self) -> None:
        self.calls += 1
        if self.calls == self.failing_call:
            raise RuntimeError("the server does not answer")

    def value(self, name: str, **labels: str) -> float:
        return self.values[name, frozenset({**REPLICA, **labels}.items())]

    def names(self) -> set[str]:
        return {name for name, _ in self.values}


def mirror(
    triton: Callable[..., FakeFamily],
    *registries: CollectorRegistry,
    log: list[str] | None = None,
    allow: Callable[[str], bool] = lambda _name: True,
) -> Mirror:
    def note(message: str) -> None:
        assert log is not None, message
        log.append(message)

    return Mirror(registries, triton, REPLICA, allow, log=note)


def test_gauges_and_counters_arrive_under_their_names_and_labels() -> None:
    triton, registry = FakeTriton(), CollectorRegistry()
    Gauge("ocrvl_depth", "d", ["device"], registry=registry).labels("0").set(2.5)
    counter = Counter("ocrvl_images_total", "d", registry=registry)
    published = mirror(triton, registry)
    counter.inc(3)
    published.publish()
    counter.inc(2)
    published.publish()
    assert triton.value("ocrvl_depth", device="0") == 2.5
    assert triton.value("ocrvl_images_total") == 5
    assert triton.kinds == {"ocrvl_depth": Kind.GAUGE, "ocrvl_images_total": Kind.COUNTER}


def test_what_has_not_changed_costs_no_call() -> None:
    triton, metrics = FakeTriton(), EngineMetrics()
    metrics.request_seconds.observe(0.2)
    published = mirror(triton, metrics.registry)
    published.publish()
    before = triton.calls
    published.publish()
    assert triton.calls == before
    metrics.images.inc()
    published.publish()
    assert triton.calls == before + 1


def test_a_counter_that_nothing_has_counted_yet_is_there() -> None:
    triton, metrics = FakeTriton(), PreprocessMetrics()
    mirror(triton, metrics.registry).publish()
    assert [triton.value("ocrvl_refusals_total", reason=reason) for reason in RefusalReason] == [0, 0]


def test_a_histogram_arrives_as_counters_of_its_parts_and_without_its_time_of_creation() -> None:
    triton, registry = FakeTriton(), CollectorRegistry()
    seconds = Histogram("ocrvl_seconds", "d", buckets=[1, 2], registry=registry)
    published = mirror(triton, registry)
    for value in (0.5, 1.5, 7):
        seconds.observe(value)
        published.publish()
    assert [triton.value("ocrvl_seconds_bucket", le=bound) for bound in ("1.0", "2.0", "+Inf")] == [1, 2, 3]
    assert triton.value("ocrvl_seconds_sum") == 9
    assert triton.value("ocrvl_seconds_count") == 3
    assert triton.names() == {"ocrvl_seconds_bucket", "ocrvl_seconds_sum", "ocrvl_seconds_count"}
    assert set(triton.kinds.values()) == {Kind.COUNTER}


def test_a_source_that_counts_from_zero_again_never_makes_a_series_fall() -> None:
    triton, registry = FakeTriton(), CollectorRegistry()
    tokens = Counter("vllm:prompt_tokens", "d", registry=registry)
    published = mirror(triton, registry)
    tokens.inc(100)
    published.publish()
    registry.unregister(tokens)
    published.publish()
    Counter("vllm:prompt_tokens", "d", registry=registry).inc(7)
    published.publish()
    assert triton.value("vllm:prompt_tokens_total") == 107


def test_a_restarted_histogram_is_known_by_any_of_its_series() -> None:
    triton, registry = FakeTriton(), CollectorRegistry()
    old = Histogram("vllm:e2e", "d", buckets=[1], registry=registry)
    published = mirror(triton, registry)
    for value in (0.5, 5, 5, 5):
        old.observe(value)
    published.publish()
    registry.unregister(old)
    new = Histogram("vllm:e2e", "d", buckets=[1], registry=registry)
    for _ in range(2):
        new.observe(0.5)
    published.publish()
    # the first bucket has overtaken its old value of 1; the count, 2 after 4, says that both began again
    assert triton.value("vllm:e2e_bucket", le="1.0") == 3
    assert triton.value("vllm:e2e_bucket", le="+Inf") == 6


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_call_that_fails_loses_and_doubles_nothing(failing: int) -> None:
    triton, registry = FakeTriton(), CollectorRegistry()
    old = Histogram("vllm:e2e", "d", buckets=[1], registry=registry)
    published = mirror(triton, registry)
    for _ in range(5):
        old.observe(0.5)
    published.publish()
    registry.unregister(old)
    new = Histogram("vllm:e2e", "d", buckets=[1], registry=registry)
    for _ in range(2):
        new.observe(0.5)
    triton.failing_call = triton.calls + failing
    with pytest.raises(RuntimeError, match="does not answer"):
        published.publish()
    published.publish()
    assert [triton.value("vllm:e2e_bucket", le=bound) for bound in ("1.0", "+Inf")] == [7, 7]
    assert triton.value("vllm:e2e_sum") == 3.5


def test_a_process_goes_on_where_the_one_before_it_ended() -> None:
    triton, first, second = FakeTriton(), EngineMetrics(), EngineMetrics()
    first.images.inc(3)
    first.images_in_flight.set(2)
    mirror(triton, first.registry).publish()
    second.images.inc(4)
    mirror(triton, second.registry).publish()
    assert triton.value("ocrvl_images_total") == 7
    assert triton.value("ocrvl_engine_images_in_flight") == 0


def test_two_processes_share_a_name_and_nothing_else() -> None:
    triton, first, second = FakeTriton(), ModelMetrics(), ModelMetrics()
    first.heartbeat.set(10)
    second.heartbeat.set(20)
    mirror(triton, first.registry).publish()
    Mirror([second.registry], triton, {"replica": "preprocess_0_1"}, log=pytest.fail).publish()
    assert triton.value("ocrvl_heartbeat_timestamp_seconds") == 10
    assert triton.value("ocrvl_heartbeat_timestamp_seconds", replica="preprocess_0_1") == 20


def test_the_only_engine_of_a_process_is_named_by_the_replica_and_a_further_one_by_its_number() -> None:
    triton, registry = FakeTriton(), CollectorRegistry()
    running = Gauge("vllm:num_requests_running", "d", ["model_name", "engine"], registry=registry)
    running.labels("nano", "0").set(3)
    running.labels("nano", "1").set(4)
    mirror(triton, registry).publish()
    assert triton.value("vllm:num_requests_running", model_name="nano") == 3
    assert triton.value("vllm:num_requests_running", model_name="nano", engine="1") == 4


def test_only_what_is_allowed_is_published() -> None:
    triton, registry = FakeTriton(), CollectorRegistry()
    for name in ("python_gc", "vllm:iteration_tokens", "vllm:num_preemptions", "ocrvl_images", "dotted.name"):
        Counter(name, "d", registry=registry).inc()
    Mirror([registry], triton, REPLICA, log=pytest.fail).publish()
    assert triton.names() == {"vllm:num_preemptions_total", "ocrvl_images_total"}


def test_a_gauge_without_a_value_is_no_fault() -> None:
    triton, registry = FakeTriton(), CollectorRegistry()
    Gauge("ocrvl_depth", "d", registry=registry).set(math.nan)
    mirror(triton, registry).publish()
    assert math.isnan(triton.value("ocrvl_depth"))


def test_a_triton_without_metrics_is_logged_once_and_then_left_alone() -> None:
    asked: list[str] = []

    def refuse(name: str, description: str, kind: Kind) -> FakeFamily:
        asked.append(name)
        raise RuntimeError("metrics not supported")

    log: list[str] = []
    published = mirror(refuse, EngineMetrics().registry, CollectorRegistry(), log=log)
    for _ in range(3):
        published.publish()
    assert log == ["Triton takes no metrics of its models, so none are published: metrics not supported"]
    assert len(asked) == 1


def test_a_name_that_triton_refuses_is_left_out_alone() -> None:
    triton, registry, log = FakeTriton(), CollectorRegistry(), list[str]()
    Counter("ocrvl_first", "d", registry=registry)
    triton("ocrvl_second_total", "of another kind", Kind.GAUGE)
    Counter("ocrvl_second", "d", registry=registry)
    third = Counter("ocrvl_third", "d", registry=registry)
    published = mirror(triton, registry, log=log)
    published.publish()
    third.inc()
    published.publish()
    assert triton.value("ocrvl_third_total") == 1
    assert log == ["ocrvl_second_total is not published: Family name already exists with different type"]


def test_the_metrics_of_two_models_have_nothing_in_common() -> None:
    first, second = EngineMetrics(), EngineMetrics()
    first.requests.labels(Outcome.OK).inc()
    assert second.registry.get_sample_value("ocrvl_requests_total", {"outcome": "ok"}) == 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (InvalidArgument("x"), "invalid"),
        (Unavailable("x"), "unavailable"),
        (Cancelled("x"), "cancelled"),
        (InternalError("x"), "internal"),
        (ZeroDivisionError(), "internal"),
    ],
)
def test_every_error_has_an_outcome(error: Exception | None, outcome: str) -> None:
    assert Outcome.from_error(error) == outcome


class Counting:
    """Counts its publications, passes them on to a mirror, and raises the errors it was given, one each."""

    def __init__(self, errors: list[Exception] | None = None, to: Mirror | None = None) -> None:
        self.errors = errors or []
        self.to = to
        self.published = threading.Semaphore(0)
        self.threads: set[int] = set()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def publish(self) -> None:
        self.threads.add(threading.get_ident())
        if self.to:
            self.to.publish()
        self.published.release()
        if self.errors:
            raise self.errors.pop(0)

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self.published.acquire(timeout=30)


def test_publishing_goes_on_until_it_is_stopped() -> None:
    counting, log = Counting(), list[str]()
    publisher = Publisher(counting, 0.001, log=log.append)
    publisher.start()
    counting.wait(3)
    publisher.stop()
    while counting.published.acquire(blocking=False):
        pass
    assert not counting.published.acquire(timeout=0.05)
    assert counting.is_closed
    assert len(counting.threads) == 1
    assert log == []


def test_the_last_values_are_published_when_it_stops() -> None:
    triton, metrics, log = FakeTriton(), ModelMetrics(), list[str]()
    counting = Counting(to=mirror(triton, metrics.registry))
    publisher = Publisher(counting, 3600, log=log.append)
    publisher.start()
    counting.wait(1)
    metrics.heartbeat.set(5)
    publisher.stop()
    assert triton.value("ocrvl_heartbeat_timestamp_seconds") == 5
    assert log == []


def test_what_was_published_stays_when_a_process_ends_and_the_next_goes_on_from_there() -> None:
    triton, metrics = FakeTriton(), ModelMetrics()
    metrics.heartbeat.set(5)
    mirrored = mirror(triton, metrics.registry)
    mirrored.publish()
    mirrored.close()
    metrics.heartbeat.set(6)
    mirrored.publish()
    assert triton.value("ocrvl_heartbeat_timestamp_seconds") == 5
    mirror(triton, metrics.registry).publish()
    assert triton.value("ocrvl_heartbeat_timestamp_seconds") == 6


def test_gauges_are_set_before_they_are_published() -> None:
    triton, metrics, log = FakeTriton(), ModelMetrics(), list[str]()
    counting = Counting(to=mirror(triton, metrics.registry))
    publisher = Publisher(counting, 3600, before_publish=[lambda: metrics.heartbeat.inc(7)], log=log.append)
    publisher.start()
    counting.wait(1)
    assert triton.value("ocrvl_heartbeat_timestamp_seconds") == 7
    publisher.stop()
    assert log == []


def test_errors_are_logged_once_each_and_end_nothing() -> None:
    counting = Counting([ValueError("a"), ValueError("a"), ValueError("b"), KeyError("a"), ValueError("b")])
    log: list[str] = []
    publisher = Publisher(counting, 0.001, log=log.append)
    publisher.start()
    counting.wait(7)
    publisher.stop()
    assert log == ["metrics: ValueError: a", "metrics: ValueError: b", "metrics: KeyError: 'a'"]


def test_a_gauge_that_cannot_be_set_does_not_keep_the_others_back() -> None:
    counting, log = Counting(), list[str]()

    def fail() -> None:
        raise OSError("no device")

    publisher = Publisher(counting, 0.001, before_publish=[fail], log=log.append)
    publisher.start()
    counting.wait(2)
    publisher.stop()
    assert log == ["metrics: OSError: no device"]


def test_stopping_what_never_ran_or_has_stopped_does_nothing() -> None:
    counting, log = Counting(), list[str]()
    Publisher(counting, log=log.append).stop()
    stopped = Publisher(counting, 3600, log=log.append)
    stopped.start()
    stopped.stop()
    stopped.stop()
    counting.wait(2)
    assert not counting.published.acquire(blocking=False)
    assert log == []
