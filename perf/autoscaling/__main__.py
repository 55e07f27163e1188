"""`python -m perf.autoscaling`: print and draw what settings of the autoscaler do to a day, and write them down."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from perf.autoscaling.conditions import measured_conditions
from perf.autoscaling.defaults import DEFAULTS_ROW, Variant, list_variants, read_defaults
from perf.autoscaling.load import Day
from perf.autoscaling.plots import draw_costs, draw_day
from perf.autoscaling.report import PEAK_RATE, SEEDS, format_rows, measure
from perf.autoscaling.simulation import simulate
from perf.measured import Work, read_measured
from tools.docs import write_part

COMMAND = "python -m perf.autoscaling"
PAGE = Path("docs/autoscaling.md")
IMAGES = Path("docs/images")
DRAWN = (DEFAULTS_ROW, "Kubernetes' own rules: all at once after 300 s")


def main() -> None:
    """Simulate everything; a minute or two."""
    variants = list_variants(read_defaults(), measured_conditions())
    with ProcessPoolExecutor() as pool:
        rows = list(pool.map(measure, variants))
    table = format_rows(rows)
    print(table)
    write_part(PAGE, COMMAND, table)
    print(_pages(variants[0]))
    day = Day(PEAK_RATE, seed=SEEDS[0])
    drawn = {one.name: simulate(one.settings, one.conditions, day) for one in variants if one.name in DRAWN}
    draw_day(IMAGES / "autoscaling-day.svg", day, drawn)
    draw_costs(IMAGES / "autoscaling-costs.svg", rows)


def _pages(defaults: Variant) -> str:
    """What the defaults do to as many pages as are the same share of what replicas can do."""
    busiest = {work: max(rates.items())[1] for work, rates in read_measured().rate_at.items()}
    peak = PEAK_RATE * busiest[Work.PAGES] / busiest[Work.RECEIPTS]
    name = f"the defaults, pages, {peak:.0f} a second at the peak"
    return format_rows([measure(replace(defaults, name=name, conditions=measured_conditions(Work.PAGES)), peak)])


if __name__ == "__main__":
    main()
