"""The figures of one engine on one H100 that sizes and simulations are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from perf.figures.data import FOLDER, load


class Workload(StrEnum):
    """What is read: receipts of 150 tokens, pages of a million pixels and 1,000 tokens."""

    RECEIPTS = "receipt"
    PAGES = "page"


@dataclass(frozen=True)
class EngineFigures:
    """Of one engine, and of the processes around it.

    `rate_at` has images a second by how many are in flight, of 1 with nothing else in flight. Milliseconds of processor
    time are for one receipt; `page_preprocess_ms` for one page. `server_gib` is the memory of a whole server with one
    engine, of the nano checkpoint on a CPU.
    """

    rate_at: dict[Workload, dict[int, float]]
    restart_seconds: float
    page_preprocess_ms: float
    front_end_ms: float
    triton_ms: float
    engine_ms: float
    server_gib: float


def read_engine_figures(folder: Path = FOLDER) -> EngineFigures:
    """From their files. Raises `KeyError` that names the question and the number that is missing."""
    alone, many = load("h100-servers", folder), load("images-in-flight", folder)
    cpu_time, restart, nano = (load(name, folder) for name in ("h100-cpu-time", "engine-restart", "cpu-nano"))
    ours = "this server"
    alone_ms = {
        Workload.RECEIPTS: alone.number("p50_ms", workload="receipt, streamed", system=ours),
        Workload.PAGES: alone.number("p50_ms", workload="page", system=ours),
    }
    return EngineFigures(
        rate_at={
            workload: {1: 1000 / alone_ms[workload]}
            | {count: many.number("images_per_second", workload=workload.value, in_flight=count) for count in (32, 128)}
            for workload in Workload
        },
        restart_seconds=restart.number("read_again_seconds", engines="one on an H100"),
        page_preprocess_ms=cpu_time.number("preprocess_ms", workload="page", system=ours),
        front_end_ms=cpu_time.number("front_end_ms", workload="receipt", system=ours),
        triton_ms=cpu_time.number("triton_ms", workload="receipt", system=ours),
        engine_ms=cpu_time.number("engine_ms", workload="receipt", system=ours),
        server_gib=nano.number("peak_gib", system=ours),
    )
