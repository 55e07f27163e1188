"""`perf.bench`: measuring in turn, and what the tables are made of. What it starts is tested in test_perf_bench.py."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Sequence

import psutil
import pytest
from rich.console import Console

from perf.bench import report
from perf.bench.measure import Sample, peak_memory, take_in_turn
from perf.bench.workload import Size


class Double:
    """A way without a server: this process."""

    title = "a double"

    def __init__(self, name: str, asked: list[tuple[str, Size, int, int]]) -> None:
        self.name = name
        self._asked = asked

    def processes(self) -> list[tuple[str, psutil.Process]]:
        return [("this", psutil.Process())]

    async def read(self, size: Size, count: int, together: int, first: int) -> list[tuple[float, int]]:
        self._asked.append((self.name, size, count, first))
        await asyncio.sleep(0)
        return [(0.5, 3)] * count


def sample(way: str, rate: float, number: int, together: int = 4, **processor: float) -> Sample:
    return Sample(way, Size.LINE, number, together, 4 / rate, [1 / rate] * 4, 12, processor)


def shown(table: object) -> str:
    console = Console(file=io.StringIO(), width=200, record=True)
    console.print(table)
    return console.export_text()


def test_every_round_begins_with_the_next_way() -> None:
    asked: list[tuple[str, Size, int, int]] = []
    ways = [Double("x", asked), Double("y", asked)]
    samples = list(take_in_turn(ways, [Size.LINE, Size.PAGE], 2, {Size.LINE: 2, Size.PAGE: 1}, 4))
    assert [(name, size) for name, size, *_ in asked] == [
        *[("x", Size.LINE), ("y", Size.LINE), ("x", Size.PAGE), ("y", Size.PAGE)],
        *[("y", Size.LINE), ("x", Size.LINE), ("y", Size.PAGE), ("x", Size.PAGE)],
    ]
    assert [first for *_, first in asked] == [0] * 4 + [1] * 4
    assert samples[0].tokens == 6
    assert samples[0].latencies == [0.5, 0.5]
    assert samples[0].processor["this"] >= 0


def test_a_ratio_is_taken_round_by_round() -> None:
    ours = [sample("ours", 10 * number + 20, number) for number in range(10)]
    theirs = [sample("a", 10 * number + 10, number) for number in range(10)]
    alone = [sample(way, 5.0, number, together=1) for way in ("ours", "a") for number in range(10)]
    text = shown(
        report.compare_ways([*ours, *theirs, *alone], {"ours": "we", "a": "they"}, {"ours": 1, "a": 1}, Size.LINE)
    )
    # 2/1, 3/2, 4/3 ... 11/10
    assert "1.18 (1.11 to 1.50)" in text
    assert "(a) they" in text
    assert "65.00" in text


def test_too_few_rounds_give_no_interval() -> None:
    samples = [sample(way, rate, 0, together) for way, rate in (("ours", 3.0), ("a", 2.0)) for together in (1, 4)]
    text = shown(report.compare_ways(samples, {"ours": "we", "a": "they"}, {"ours": 1, "a": 1}, Size.LINE))
    assert "1.50" in text
    assert " to " not in text


def test_processor_time_is_the_engines_and_everything_elses() -> None:
    samples = [sample("ours", 4.0, number, EngineCore=0.4, tritonserver=0.04, stub=0.12) for number in range(2)]
    assert report.processor_ms(samples) == pytest.approx((40.0, 100.0))
    spent = report.by_process(samples)
    assert list(spent) == ["EngineCore", "stub", "tritonserver"]
    assert spent == pytest.approx({"EngineCore": 100.0, "stub": 30.0, "tritonserver": 10.0})
    # four images of three tokens each
    assert report.by_process(samples, tokens=True)["stub"] == pytest.approx(10_000)


def test_latencies_are_compared_at_equal_load_and_at_three_times_it() -> None:
    def many(way: str, together: int, latency: float) -> Sequence[Sample]:
        return [Sample(way, Size.LINE, 0, together, 1.0, [latency] * together, 1, {})]

    samples = [*many("d", report.BESIDE, 0.9), *many("ours", report.BESIDE, 0.2), *many("ours", 3 * report.BESIDE, 0.4)]
    rows = [line.split() for line in shown(report.compare_latencies(samples, Size.LINE)).splitlines() if "│" in line]
    assert [[cell for cell in row if cell != "│"] for row in rows] == [
        ["d", "8", "900", "900"],
        ["ours", "8", "200", "200"],
        ["ours", "24", "400", "400"],
    ]


def test_peak_memory_is_at_least_what_is_resident() -> None:
    resident = psutil.Process(os.getpid()).memory_info().rss
    assert peak_memory(Double("x", [])) >= resident * 0.9
