"""A day of requests: quiet nights, two peaks in office hours, and bursts on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Day:
    """A day's load. Rates are requests a second, of one image each.

    The rate goes from `night` of `peak_rate` up to all of it at 10:30 and to nine tenths at 15:00. `bursts` times a
    day somebody sends a batch: a tenth to `largest_burst` of the peak comes on top at once, for 1 to 10 minutes.
    """

    peak_rate: float
    night: float = 0.05
    bursts: int = 16
    largest_burst: float = 0.5
    seed: int = 7

    def rates(self, step_seconds: float) -> npt.NDArray[np.float64]:
        """The rate in each step of the day."""
        seconds = np.arange(0, DAY_SECONDS, step_seconds)
        shape = _hill(seconds, 10.5) + 0.9 * _hill(seconds, 15.0)
        rates: npt.NDArray[np.float64] = self.peak_rate * (self.night + (1 - self.night) * shape / shape.max())
        random = np.random.default_rng(self.seed)
        for _ in range(self.bursts):
            start = random.uniform(0, DAY_SECONDS)
            lasts = random.uniform(60, 600)
            height = self.peak_rate * random.uniform(0.1, self.largest_burst)
            rates[(seconds >= start) & (seconds < start + lasts)] += height
        return rates

    def arrivals(self, step_seconds: float) -> npt.NDArray[np.int64]:
        """Requests that arrive in each step: Poisson, the same for the same seed."""
        random = np.random.default_rng([self.seed, 1])
        return np.asarray(random.poisson(self.rates(step_seconds) * step_seconds), np.int64)


def _hill(seconds: npt.NDArray[np.float64], hour: float) -> npt.NDArray[np.float64]:
    return np.asarray(np.exp(-(((seconds / 3600 - hour) / 2.2) ** 2)), np.float64)
