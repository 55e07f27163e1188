"""A run as figures, and what its tables do not say: processor time by process."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from perf.bench.measure import Sample
from perf.bench.systems import ENGINE
from perf.bench.workload import Benchmark, Size, SystemName
from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import new_figures, summarize

BESIDE = 8
"""In flight, where latencies at equal load are compared with a server that reads one at a time."""

_CONDITIONS = (
    "Medians; ratios (this server / it) round by round with their 95 % intervals. Every system reads the same images "
    "in each round. Milliseconds of processor time are for an image."
)


def to_figures(
    benchmark: Benchmark, samples: Sequence[Sample], peaks: Mapping[SystemName, int], rounds: int
) -> Figures:
    """What the systems did, by size; `peaks` are bytes of memory."""
    records = [record for size in benchmark.in_flight for record in _records(samples, size)]
    records += [{"system": name.label, "workload": "all", "peak_gib": peak / 2**30} for name, peak in peaks.items()]
    sent = "; ".join(f"{size}s: {_sent(samples, size)}" for size in benchmark.in_flight)
    sizes = [size for size in benchmark.in_flight if any(sample.size is size for sample in samples)]
    return new_figures(
        question=f"How do systems that serve the same model compare: {benchmark.description}?",
        rounds=rounds,
        conditions=f"{_CONDITIONS} {sent}.",
        measurements=records,
        tables={"images-per-second": _rates_table(sizes), "cost": _cost_table(sizes)},
    )


def compare_latencies(samples: Sequence[Sample], rounds: int) -> Figures:
    """Against one at a time: latency at equal load, and what ours needs for three times as many in flight."""
    records: list[dict[str, Value]] = []
    for (name, in_flight), taken in groupby(sorted(samples, key=_load), key=_load):
        latencies = [1000 * latency for sample in taken for latency in sample.latencies]
        p50, p95 = statistics.median(latencies), percentile(latencies, 95)
        records.append({"workload": "line", "in_flight": in_flight, "system": name.label, "p50_ms": p50, "p95_ms": p95})
    columns = (
        Column(title="system", value="system"),
        Column(title="in flight", value="in_flight"),
        *(Column(title=share, value=f"{share}_ms", format=".0f", unit=" ms") for share in ("p50", "p95")),
    )
    return new_figures(
        question="How long does a line take beside a server that reads one at a time?",
        rounds=rounds,
        conditions=None,
        measurements=records,
        tables={"latency": Table(rows=("system", "in_flight"), columns=columns)},
    )


def _records(samples: Sequence[Sample], size: Size) -> Iterator[dict[str, Value]]:
    ours = of(samples, SystemName.OURS, size, many=True)
    for name in SystemName:
        many, alone = (of(samples, name, size, many=is_many) for is_many in (True, False))
        if not many:
            continue
        front, engine = processor_ms(many)
        record: dict[str, Value] = {
            "workload": size.value,
            "system": name.label,
            "images_per_second": statistics.median(sample.images_per_second for sample in many),
            **_latencies(many, ""),
            **(_latencies(alone, "_alone") if alone else {}),
            "front_end_ms": front,
            "engine_ms": engine,
        }
        if ours and name is not SystemName.OURS:
            pairs = zip(ours, many, strict=True)
            record["ratio"] = summarize([first.images_per_second / second.images_per_second for first, second in pairs])
        yield record


def _latencies(samples: Sequence[Sample], suffix: str) -> dict[str, Value]:
    latencies = [1000 * latency for sample in samples for latency in sample.latencies]
    return {f"p50{suffix}_ms": statistics.median(latencies), f"p95{suffix}_ms": percentile(latencies, 95)}


def _rates_table(sizes: Sequence[Size]) -> Table:
    columns = [Column(title="system", value="system")]
    for size in sizes:
        where = {"workload": size.value}
        columns += [
            Column(title=f"{size}s a second", value="images_per_second", where=where, format=".2f"),
            Column(title="this server / it", value="ratio", where=where, format=".2f"),
        ]
    return Table(rows=("system",), columns=tuple(columns))


def _cost_table(sizes: Sequence[Size]) -> Table:
    columns = [Column(title="system", value="system")]
    for size in sizes:
        named = {
            "alone, p50": "p50_alone_ms",
            "front end": "front_end_ms",
            "engine": "engine_ms",
        }
        columns += [
            Column(title=f"{size} {title}", value=value, where={"workload": size.value}, format=".1f", unit=" ms")
            for title, value in named.items()
        ]
    columns.append(Column(title="peak memory", value="peak_gib", format=".1f", unit=" GiB"))
    return Table(rows=("system",), columns=tuple(columns))


def processor_ms(samples: Sequence[Sample]) -> tuple[float, float]:
    """Milliseconds of processor time an image: of all processes but the engine's, and of the engine's."""
    images = sum(len(sample.latencies) for sample in samples)
    engine = sum(sample.processor.get(ENGINE, 0.0) for sample in samples)
    everything = sum(sum(sample.processor.values()) for sample in samples)
    return 1000 * (everything - engine) / images, 1000 * engine / images


def by_process(samples: Sequence[Sample], *, tokens: bool = False) -> dict[str, float]:
    """Processor time by process, the largest first: milliseconds an image or, with `tokens`, microseconds a token."""
    shares = sum(sample.tokens / 1000 if tokens else len(sample.latencies) for sample in samples)
    names = {name for sample in samples for name in sample.processor}
    spent = {name: 1000 * sum(sample.processor.get(name, 0.0) for sample in samples) / shares for name in names}
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def percentile(values: Sequence[float], share: int) -> float:
    """The value below which that many per cent lie.

    >>> percentile([1.0, 2.0, 3.0], 95)
    3.0
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def of(samples: Sequence[Sample], name: SystemName, size: Size, *, many: bool) -> list[Sample]:
    """Of one system and size, those with many in flight or those with one."""
    return [s for s in samples if s.system is name and s.size is size and (s.in_flight > 1) is many]


def _sent(samples: Sequence[Sample], size: Size) -> str:
    counts = [(len(sample.latencies), sample.in_flight) for sample in samples if sample.size is size]
    count, in_flight = max(counts, default=(0, 0))
    return f"{count} sent, {min(count, in_flight)} in flight"


def _load(sample: Sample) -> tuple[SystemName, int]:
    return sample.system, sample.in_flight
