"""The tables that a run prints."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich.table import Table as RichTable

from perf.bench.measure import ENGINE, Sample
from perf.bench.workload import Size
from perf.compare import Ratio

OURS = "ours"
BESIDE = 8
"""In flight, where latencies at equal load are compared with a server that reads one at a time."""


def compare_ways(
    samples: Sequence[Sample], titles: Mapping[str, str], peaks: Mapping[str, int], size: Size
) -> RichTable:
    """One size: a row for each way, and how many times its throughput ours has, round by round."""
    table = RichTable(
        *(
            "way",
            "images/s",
            "ours / it",
            "p50, p95 alone",
            "p50, p95 together",
            "processor, front",
            "engine",
            "peak",
        ),
        title=f"{size}: {_sent(samples, size)}; ms an image",
    )
    for way, title in titles.items():
        together = _of(samples, way, size, together=True)
        alone = _of(samples, way, size, together=False)
        if not together:
            continue
        front, engine = processor_ms(together)
        table.add_row(
            f"({way}) {title}" if way != OURS else title,
            f"{statistics.median(sample.images_per_second for sample in together):.2f}",
            "" if way == OURS else _ratio(_of(samples, OURS, size, together=True), together),
            _latencies(alone) if alone else "",
            _latencies(together),
            f"{front:.1f}",
            f"{engine:.1f}",
            f"{peaks[way] / 2**30:.1f} GiB",
        )
    return table


def compare_latencies(samples: Sequence[Sample], size: Size) -> RichTable:
    """Against one at a time: latency at equal load, and what ours needs for three times as many in flight."""
    table = RichTable("", "in flight", "p50", "p95", title=f"{size}: against one at a time")
    for way, together in (("d", BESIDE), (OURS, BESIDE), (OURS, 3 * BESIDE)):
        latencies = [
            latency
            for sample in samples
            if (sample.way, sample.size, sample.together) == (way, size, together)
            for latency in sample.latencies
        ]
        table.add_row(way, str(together), _ms(statistics.median(latencies)), _ms(percentile(latencies, 95)))
    return table


def processor_ms(samples: Sequence[Sample]) -> tuple[float, float]:
    """Milliseconds of processor time an image: of all processes but the engine's, and of the engine's."""
    images = sum(len(sample.latencies) for sample in samples)
    engine = sum(sample.processor.get(ENGINE, 0.0) for sample in samples)
    everything = sum(sum(sample.processor.values()) for sample in samples)
    return 1000 * (everything - engine) / images, 1000 * engine / images


def by_process(samples: Sequence[Sample], *, tokens: bool = False) -> dict[str, float]:
    """Processor time by process, the largest first: milliseconds an image or, if asked, microseconds a token."""
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


def _sent(samples: Sequence[Sample], size: Size) -> str:
    largest = max((sample for sample in samples if sample.size is size), key=lambda sample: len(sample.latencies))
    count = len(largest.latencies)
    return f"{count} sent, {min(count, largest.together)} in flight"


def _of(samples: Sequence[Sample], way: str, size: Size, *, together: bool) -> list[Sample]:
    return [s for s in samples if s.way == way and s.size is size and (s.together > 1) is together]


def _ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> str:
    ratios = [a.images_per_second / b.images_per_second for a, b in zip(ours, theirs, strict=True)]
    if len(ratios) < 6:
        return f"{statistics.median(ratios):.2f}"
    ratio = Ratio.of(ratios)
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _latencies(samples: Sequence[Sample]) -> str:
    latencies = [latency for sample in samples for latency in sample.latencies]
    return f"{_ms(statistics.median(latencies))}, {_ms(percentile(latencies, 95))}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f}"
