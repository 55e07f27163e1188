"""What an operator finds: how fast a replica is and how long a new one takes, from what was measured."""

from __future__ import annotations

import math
from typing import Final

from perf.autoscaling.replica import Curve
from perf.autoscaling.simulation import Conditions
from perf.figures.engine import Workload, read_engine_figures

_DOWNLOAD_SECONDS: Final = 18.0
"""1.8 GB of weights at 100 MB a second; nothing where a volume has them."""

_POD_SECONDS: Final = 45.0
"""Placing the pod, its container, Triton's other models, and compiling without a cache. Not measured: an allowance."""

_ROUND_TO: Final = 10


def cold_start_seconds(restart_seconds: float) -> float:
    """Until a new pod serves, on a node that has a free GPU and the image: what was measured, and what it leaves out.

    >>> cold_start_seconds(26.6)
    90
    """
    return math.ceil((restart_seconds + _DOWNLOAD_SECONDS + _POD_SECONDS) / _ROUND_TO) * _ROUND_TO


def measured_conditions(workload: Workload = Workload.RECEIPTS) -> Conditions:
    """One H100 a replica, reading `workload`."""
    figures = read_engine_figures()
    return Conditions(Curve(figures.rate_at[workload]), cold_start_seconds(figures.restart_seconds))
