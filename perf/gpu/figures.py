"""What `perf.gpu.pairs` has measured, as a file of figures. Run where the project's own packages are."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations
from typing import Final

from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import round_values, summarize
from perf.gpu.load import parse_load
from perf.gpu.report import Record, pair_ratios, quantile, rate

_LOAD_KEYS: Final = ("workload", "text_lengths", "in_flight")
_LOAD_COLUMNS: Final = (
    Column(title="image", value="workload"),
    Column(title="lengths of texts", value="text_lengths"),
    Column(title="in flight", value="in_flight"),
)


def to_figures(records: Sequence[Record], question: str) -> Figures:
    """A record for each load and variant, and one for each pair of variants.

    Raises `ValueError` where there is no machine, or more than one kind of it.
    """
    machines = [record for record in records if record["kind"] == "machine"]
    kinds = {json.dumps([one["device"], one["cores"], one["versions"]]) for one in machines}
    if len(kinds) != 1:
        raise ValueError(f"expected the records of one machine, found {len(kinds)}: {', '.join(sorted(kinds))}")
    machine = machines[0]
    measured = [record for record in records if record["kind"] == "measured"]
    by_load: dict[str, dict[str, list[Record]]] = {}
    for record in measured:
        by_load.setdefault(record["load"], {}).setdefault(record["variant"], []).append(record)
    variants = list(dict.fromkeys(record["variant"] for record in measured))
    return Figures(
        question=question,
        date=date.fromisoformat(machine["date"]) if "date" in machine else None,
        machine=f"{machine['device']}, {machine['cores']} CPU cores",
        versions=machine["versions"],
        command=machine.get("command"),
        rounds=max((len(taken) for load in by_load.values() for taken in load.values()), default=None),
        conditions="Medians; ratios are of the pairs, with their 95 % intervals.",
        measurements=tuple(round_values(one) for load, taken in by_load.items() for one in _load_records(load, taken)),
        tables={"images-per-second": _table(variants), "gpu-busy": _busy_table(variants)},
    )


def _load_records(name: str, by_variant: Mapping[str, Sequence[Record]]) -> Iterator[dict[str, Value]]:
    load = parse_load(name, seconds=0, waves=1)
    flags = ("for each GPU", load.each), ("streamed", load.stream)
    lengths = "varied" if load.varied else "equal"
    keys: dict[str, Value] = {
        "workload": ", ".join([load.size, *(flag for flag, is_set in flags if is_set)]),
        "text_lengths": lengths,
        "in_flight": load.in_flight,
    }
    for variant, records in by_variant.items():
        yield keys | {"system": variant} | _speed(records) | _cpu_ms(records)
    for first, second in combinations(by_variant, 2):
        if each := pair_ratios(by_variant[first], by_variant[second]):
            yield keys | {"system": first, "over": second, "ratio": summarize(each), "pairs": len(each)}


def _speed(records: Sequence[Record]) -> dict[str, Value]:
    latencies = [seconds for record in records for seconds in record["latencies"]]
    firsts = [seconds for record in records for seconds in record["firsts"]]
    busy = [record["gpu"]["busy"] for record in records if record["gpu"]]
    return {
        "rounds": len(records),
        "images_per_second": statistics.median(map(rate, records)),
        **{f"p{percent}_seconds": quantile(latencies, percent / 100) for percent in (50, 95)},
        **({"first_text_ms": 1000 * quantile(firsts, 0.5)} if firsts else {}),
        **({"gpu_busy": statistics.fmean(busy)} if busy else {}),
    }


def _cpu_ms(records: Sequence[Record]) -> dict[str, Value]:
    """Milliseconds of processor time an image by process."""
    images = sum(len(record["latencies"]) for record in records)
    roles: dict[str, float] = {}
    for record in records:
        for role, seconds in record["processor_seconds"].items():
            roles[role] = roles.get(role, 0.0) + seconds
    names = {role: re.sub(r"\W+", "_", role).lower() for role in roles}
    return {f"{names[role]}_ms": 1000 * seconds / images for role, seconds in roles.items() if seconds > 0}


def _table(variants: Sequence[str]) -> Table:
    columns = list(_LOAD_COLUMNS)
    columns += [
        Column(title=f"a second, {variant}", value="images_per_second", where={"system": variant}, format=".3g")
        for variant in variants
    ]
    columns += [
        Column(title=f"{first} / {second}", value="ratio", where={"system": first, "over": second}, format=".2f")
        for first, second in combinations(variants, 2)
    ]
    return Table(rows=_LOAD_KEYS, columns=tuple(columns))


def _busy_table(variants: Sequence[str]) -> Table:
    shares = [Column(title=variant, value="gpu_busy", where={"system": variant}, format=".0%") for variant in variants]
    return Table(rows=_LOAD_KEYS, columns=(*_LOAD_COLUMNS, *shares))
