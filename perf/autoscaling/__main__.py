"""`python -m perf autoscaling`: what settings of the autoscaler do to a day, printed, drawn and saved."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from perf.autoscaling.conditions import measured_conditions
from perf.autoscaling.defaults import DEFAULTS_ROW, Variant, list_variants, read_defaults
from perf.autoscaling.load import Day
from perf.autoscaling.plots import draw_costs, draw_day
from perf.autoscaling.report import NAME, PEAK_RATE, SEEDS, simulate_days, to_figures
from perf.autoscaling.simulation import simulate
from perf.figures.data import save
from perf.figures.engine import Workload, read_engine_figures
from perf.figures.table import render

IMAGES: Final = Path(__file__).parents[2] / "docs/images"
DRAWN: Final = (DEFAULTS_ROW, "Kubernetes' own rules: all at once after 300 s")


def main(
    save_figures: Annotated[
        bool, typer.Option("--save", help="Write perf/figures/autoscaling.json and the plots.")
    ] = False,
) -> None:
    """Simulate a day's load on replicas that an autoscaler adds and removes; a minute or two."""
    variants = list_variants(read_defaults(), measured_conditions())
    with ProcessPoolExecutor() as pool:
        rows = list(pool.map(simulate_days, variants))
    figures = to_figures(rows)
    print(render(figures, figures.tables["settings"], f"{NAME}.json"))
    print(_simulate_pages(variants[0]))
    if save_figures:
        save(NAME, figures)
        day = Day(PEAK_RATE, seed=SEEDS[0])
        drawn = {one.name: simulate(one.settings, one.conditions, day) for one in variants if one.name in DRAWN}
        draw_day(IMAGES / "autoscaling-day.svg", day, drawn)
        draw_costs(IMAGES / "autoscaling-costs.svg", rows)


def _simulate_pages(defaults: Variant) -> str:
    """What the defaults do to as many pages as are the same share of what replicas can do."""
    busiest = {workload: max(rates.items())[1] for workload, rates in read_engine_figures().rate_at.items()}
    peak = PEAK_RATE * busiest[Workload.PAGES] / busiest[Workload.RECEIPTS]
    conditions = measured_conditions(Workload.PAGES)
    row = simulate_days(replace(defaults, conditions=conditions), peak)
    return f"the defaults, pages, {peak:.0f} a second at the peak: {row.record()}"


if __name__ == "__main__":
    typer.run(main)
