"""`python -m tools.dashboard`: write deploy/dashboards/ocrvl.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, VariableRefresh

from tools.dashboard.panels import ROWS, Panel

DASHBOARD: Final = Path(__file__).parent.parent.parent / "deploy/dashboards/ocrvl.json"

SCOPE: Final = 'job=~"$job", instance=~"$instance"'
"""The labels that choose servers: Prometheus puts them on all that it scrapes."""

_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_LEGEND: Final = (
    common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
)
_WIDTH, _HEIGHT = 8, 8


def render() -> str:
    """The JSON that Grafana imports."""
    board = (
        dashboard.Dashboard("PaddleOCR-VL on Triton")
        .uid("ocrvl")
        .tags(["ocrvl", "triton", "vllm"])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("job", 'label_values({__name__=~"ocrvl_engine_state|ocrvl_pipeline_taken"}, job)'))
        .with_variable(_choice("instance", 'label_values(ocrvl_engine_state{job=~"$job"}, instance)'))
    )
    number = 1
    for title, panels in ROWS.items():
        board.with_row(dashboard.Row(title).id(number))
        for panel in panels:
            number += 1
            board.with_panel(_graph(panel).id(number))
        number += 1
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _choice(label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(label)
        .datasource(_SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
    )


def _graph(panel: Panel) -> timeseries.Panel:
    graph = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.meaning)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .span(_WIDTH)
        .height(_HEIGHT)
        .legend(_LEGEND)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if panel.maximum is not None:
        graph.min(0).max(panel.maximum)
    for number, (legend, query) in enumerate(panel.queries.items()):
        target = prometheus.Dataquery().expr(query.replace("@", SCOPE)).legend_format(legend)
        graph.with_target(target.ref_id(chr(ord("A") + number)).range())
    return graph


def main() -> None:
    """Write the dashboard."""
    DASHBOARD.write_text(render(), "utf-8")
    print(DASHBOARD)


if __name__ == "__main__":
    main()
