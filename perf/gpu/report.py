"""Tables, in Markdown, of what `perf.gpu.pairs` has measured."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from perf.compare import Ratio

Record = dict[str, Any]


def main(
    files: Annotated[list[Path], typer.Argument(help="results.jsonl of one run or several.")],
    output: Annotated[Path | None, typer.Option(help="A file for the figures, as in perf/figures.")] = None,
    question: Annotated[str, typer.Option(help="The question that the figures answer.")] = "How do they compare?",
) -> None:
    """Print tables of what pairs has measured, and write it as figures."""
    records = [record for run, file in enumerate(files) for record in read_run(file, run)]
    print(render(records))
    if output:
        # here, since machines that measure have few packages
        from perf.figures.data import save
        from perf.gpu.figures import to_figures

        save(output.stem, to_figures(records, question), output.parent)


def read_run(file: Path, run: int = 0) -> list[Record]:
    """The records of a results.jsonl, into which several runs may have written.

    A round of one run is not that of another; a variant that was alone on the machine says so in its name.
    """
    found, part, suffix = list[Record](), 0, ""
    for line in file.read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "machine":
            part, suffix = part + 1, ", alone" if record.get("alone") else ""
        if "round" in record:
            record["round"] = (run, part, record["round"])
        if "variant" in record:
            record["variant"] += suffix
        found.append(record)
    return found


def render(records: Sequence[Record]) -> str:
    """All tables: the machine, starts, ratios, and what each variant did under each load."""
    parts = []
    for machine in _unique(record for record in records if record["kind"] == "machine"):
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        parts.append(f"{machine['device']}, {machine['cores']} cores, Python {machine['python']}, {versions}")
        if machine["tiny"]:
            parts.append("**A tiny model: the figures say nothing.**")
    parts += _render_starts(records)
    measured = [record for record in records if record["kind"] == "measured"]
    for load in dict.fromkeys(record["load"] for record in measured):
        parts += [f"### {load}", *_render_load([record for record in measured if record["load"] == load])]
    return "\n\n".join(parts)


def pair_ratios(first: Sequence[Record], second: Sequence[Record]) -> list[float]:
    """Images a second of the first over those of the second, round by round of those that both have."""
    ours, theirs = ({record["round"]: rate(record) for record in side} for side in (first, second))
    return [ours[number] / theirs[number] for number in ours if number in theirs]


def _render_starts(records: Sequence[Record]) -> list[str]:
    rows = []
    for record in records:
        if record["kind"] == "started":
            memory = ", ".join(f"{role} {mib:,}" for role, mib in record["gpu_mib"].items())
            rows.append([record["variant"], f"{record['seconds']:.0f} s", memory])
        elif record["kind"] == "failed":
            rows.append([record["variant"], "failed", record["error"].strip().splitlines()[-1]])
    return [_table(["variant", "start", "MiB on the GPU"], rows)] if rows else []


def _render_load(measured: Sequence[Record]) -> list[str]:
    by_variant: dict[str, list[Record]] = {}
    for record in measured:
        by_variant.setdefault(record["variant"], []).append(record)
    ratios = []
    for first, second in combinations(by_variant, 2):
        each = pair_ratios(by_variant[first], by_variant[second])
        if each:
            ratios.append([f"{first} / {second}", *_describe_ratio(each)])
    header = ["variant", "images/s", "tokens/s", "p50", "p95", "first text p50", "p95", "GPU busy", "GPU W"]
    rows = [[name, *_describe_speed(records)] for name, records in by_variant.items()]
    costs = [[name, *_describe_costs(records)] for name, records in by_variant.items()]
    tables = [
        _table(header, rows),
        _table(["variant", "processor ms an image", "output tokens", "prompt tokens"], costs),
    ]
    shares = [[name, _describe_engines(records)] for name, records in by_variant.items()]
    if any("," in share for _, share in shares):
        tables.append(_table(["variant", "images that each engine read"], shares))
    stages = [[name, *row] for name, records in by_variant.items() for row in _describe_stages(records)]
    if stages:
        tables.append(_table(["variant", "stage", "ms a request"], stages))
    if ratios:
        tables.append(_table(["images/s", "median ratio", "95 % interval", "pairs"], ratios))
    return tables


def _describe_ratio(each: list[float]) -> list[str]:
    try:
        ratio = Ratio.of(each)
    except ValueError:
        return [f"{statistics.median(each):.2f}", "too few pairs", str(len(each))]
    return [f"{ratio.median:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}", str(ratio.pairs)]


def _describe_speed(records: Sequence[Record]) -> list[str]:
    latencies = [seconds for record in records for seconds in record["latencies"]]
    firsts = [seconds for record in records for seconds in record["firsts"]]
    uses = [record["gpu"] for record in records if record["gpu"]]
    tokens = [sum(int(length) * count for length, count in r["tokens"].items()) / r["seconds"] for r in records]
    return [
        f"{statistics.median(map(rate, records)):.2f}",
        f"{statistics.median(tokens):,.0f}",
        *(f"{1000 * quantile(latencies, share):,.0f} ms" for share in (0.5, 0.95)),
        *(f"{1000 * quantile(firsts, share):,.0f} ms" if firsts else "" for share in (0.5, 0.95)),
        f"{statistics.fmean(use['busy'] for use in uses):.0%}" if uses else "",
        f"{statistics.fmean(use['watts'] for use in uses):.0f}" if uses else "",
    ]


def _describe_costs(records: Sequence[Record]) -> list[str]:
    images = sum(len(record["latencies"]) for record in records)
    seconds: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    prompts: Counter[str] = Counter()
    for record in records:
        seconds.update(record["processor_seconds"])
        tokens.update(record["tokens"])
        prompts.update(record["prompt_tokens"])
    expected = {str(length) for record in records for length in record["expected_tokens"]}
    costs = ", ".join(f"{role} {1000 * spent / images:.1f}" for role, spent in seconds.most_common() if spent > 0)
    return [costs, _describe_lengths(tokens, expected), _describe_lengths(prompts, set(prompts))]


def _describe_engines(records: Sequence[Record]) -> str:
    """Images by engine over all rounds, with their share; empty where it is not known."""
    images: Counter[str] = Counter()
    for record in records:
        images.update(record.get("by_engine", {}))
    total = images.total() or 1
    return ", ".join(f"{engine}: {count:.0f} ({count / total:.0%})" for engine, count in sorted(images.items()))


def _describe_stages(records: Sequence[Record]) -> list[list[str]]:
    """Medians over the rounds."""
    stages = sorted({stage for record in records for stage in record.get("stages", {})})
    values = {stage: [record["stages"][stage] for record in records if stage in record["stages"]] for stage in stages}
    return [[stage, f"{1000 * statistics.median(each):.1f}"] for stage, each in values.items()]


def _describe_lengths(lengths: Counter[str], expected: set[str]) -> str:
    text = ", ".join(sorted(lengths, key=int)[:4]) + (", …" if len(lengths) > 4 else "")
    strays = sum(count for length, count in lengths.items() if length not in expected)
    return f"{text} ({strays} not as expected)" if strays else text


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values is not above (the nearest rank).

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def rate(record: Record) -> float:
    """Images a second of a measurement."""
    return float(len(record["latencies"]) / record["seconds"])


def _unique(records: Iterable[Record]) -> list[Record]:
    return [json.loads(text) for text in dict.fromkeys(json.dumps(record) for record in records)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


if __name__ == "__main__":
    typer.run(main)
