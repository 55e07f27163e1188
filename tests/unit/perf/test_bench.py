"""`perf bench`: measuring in turn, and what the figures are made of. What it starts is tested in test_perf_bench.py."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import psutil
import pytest

from perf.bench import report
from perf.bench.measure import Sample, peak_memory, take_in_turn
from perf.bench.workload import THIN, Size, SystemName
from perf.figures.data import Figures, Interval

OURS, VLLM, ONE_AT_A_TIME = SystemName.OURS, SystemName.VLLM, SystemName.ONE_AT_A_TIME


class Double:
    """A system without a server: this process."""

    def __init__(self, name: SystemName, reads: list[tuple[str, Size, int, int]]) -> None:
        self.name = name
        self._reads = reads

    def processes(self) -> list[tuple[str, psutil.Process]]:
        return [("this", psutil.Process())]

    async def read(self, size: Size, count: int, in_flight: int, first: int) -> list[tuple[float, int]]:
        self._reads.append((self.name, size, count, first))
        await asyncio.sleep(0)
        return [(0.5, 3)] * count


def sample(system: SystemName, rate: float, number: int, in_flight: int = 4, **processor: float) -> Sample:
    return Sample(system, Size.LINE, number, in_flight, 4 / rate, [1 / rate] * 4, 12, processor)


def figures(samples: Sequence[Sample]) -> Figures:
    return report.to_figures(THIN, samples, {OURS: 2**30, VLLM: 2**31}, 10)


def test_every_round_begins_with_the_next_system() -> None:
    reads: list[tuple[str, Size, int, int]] = []
    systems = [Double(OURS, reads), Double(VLLM, reads)]
    samples = list(take_in_turn(systems, [Size.LINE, Size.PAGE], 2, {Size.LINE: 2, Size.PAGE: 1}, 4))
    assert [(name, size) for name, size, *_ in reads] == [
        *[(OURS, Size.LINE), (VLLM, Size.LINE), (OURS, Size.PAGE), (VLLM, Size.PAGE)],
        *[(VLLM, Size.LINE), (OURS, Size.LINE), (VLLM, Size.PAGE), (OURS, Size.PAGE)],
    ]
    assert [first for *_, first in reads] == [0] * 4 + [1] * 4
    assert samples[0].tokens == 6
    assert samples[0].latencies == [0.5, 0.5]
    assert samples[0].processor["this"] >= 0


def test_a_ratio_is_taken_round_by_round() -> None:
    ours = [sample(OURS, 10 * number + 20, number) for number in range(10)]
    theirs = [sample(VLLM, 10 * number + 10, number) for number in range(10)]
    alone = [sample(system, 5.0, number, in_flight=1) for system in (OURS, VLLM) for number in range(10)]
    taken = figures([*ours, *theirs, *alone])
    (record,) = taken.find(workload="line", system=VLLM.label)
    # 2/1, 3/2, 4/3 ... 11/10
    assert record["ratio"] == Interval(median=1.183, low=1.111, high=1.5)
    assert taken.number("images_per_second", workload="line", system=OURS.label) == 65
    assert taken.number("p50_alone_ms", workload="line", system=OURS.label) == 200
    assert taken.number("peak_gib", system=VLLM.label) == 2
    assert "lines: 4 sent, 4 in flight" in str(taken.conditions)


def test_too_few_rounds_give_no_interval() -> None:
    samples = [sample(system, rate, 0, many) for system, rate in ((OURS, 3.0), (VLLM, 2.0)) for many in (1, 4)]
    (record,) = figures(samples).find(workload="line", system=VLLM.label)
    assert record["ratio"] == 1.5


def test_processor_time_is_the_engines_and_everything_elses() -> None:
    samples = [sample(OURS, 4.0, number, EngineCore=0.4, tritonserver=0.04, stub=0.12) for number in range(2)]
    assert report.processor_ms(samples) == pytest.approx((40.0, 100.0))
    spent = report.by_process(samples)
    assert list(spent) == ["EngineCore", "stub", "tritonserver"]
    assert spent == pytest.approx({"EngineCore": 100.0, "stub": 30.0, "tritonserver": 10.0})
    # four images of three tokens each
    assert report.by_process(samples, tokens=True)["stub"] == pytest.approx(10_000)


def test_latencies_are_compared_at_equal_load_and_at_three_times_it() -> None:
    def many(system: SystemName, in_flight: int, latency: float) -> Sequence[Sample]:
        return [Sample(system, Size.LINE, 0, in_flight, 1.0, [latency] * in_flight, 1, {})]

    beside = report.BESIDE
    samples = [*many(ONE_AT_A_TIME, beside, 0.9), *many(OURS, beside, 0.2), *many(OURS, 3 * beside, 0.4)]
    taken = report.compare_latencies(samples, 5)
    assert [(one["system"], one["in_flight"], one["p50_ms"]) for one in taken.measurements] == [
        (ONE_AT_A_TIME.label, 8, 900),
        (OURS.label, 8, 200),
        (OURS.label, 24, 400),
    ]


def test_peak_memory_is_at_least_what_is_resident() -> None:
    resident = psutil.Process(os.getpid()).memory_info().rss
    assert peak_memory(Double(OURS, [])) >= resident * 0.9
