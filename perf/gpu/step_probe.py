"""What is mixed into an engine's worker to follow its steps (`worker_extension_cls`); `perf.gpu.steps` asks for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from perf.gpu.gpu_time import kernel_events, kind_of

PROBE: Final = "perf.gpu.step_probe.StepProbe"


class StepProbe:
    """Between the two calls each step of the engine is noted, and with `is_profiled` each kernel."""

    _steps: list[tuple[float, int, int]]
    _stop: Callable[[], dict[str, Any]]

    def begin_steps(self, is_profiled: bool) -> None:
        """From now on."""
        worker: Any = self
        own, self._steps = worker.execute_model, []

        def execute_model(scheduled: Any, *args: Any, **kwargs: Any) -> Any:
            requests = scheduled.num_scheduled_tokens
            if requests:
                self._steps.append((time.perf_counter(), len(requests), sum(requests.values())))
            return own(scheduled, *args, **kwargs)

        worker.execute_model = execute_model
        stop_profiler = _start_profiler() if is_profiled else dict

        def stop() -> dict[str, Any]:
            worker.execute_model = own
            return stop_profiler()

        self._stop = stop

    def end_steps(self) -> dict[str, Any]:
        """`steps` that began since: when, with how many requests and tokens; with a profiler what the GPU did."""
        profiled = self._stop()
        return {"steps": self._steps, **profiled}


def _start_profiler() -> Callable[[], dict[str, Any]]:
    import torch

    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
    torch.cuda.synchronize()
    profiler.start()

    def stop() -> dict[str, Any]:
        torch.cuda.synchronize()
        profiler.stop()
        events = kernel_events(profiler)
        kinds: Counter[str] = Counter()
        for event in events:
            kinds[kind_of(event.name)] += event.time_range.elapsed_us() / 1e6
        spans = ((event.time_range.start / 1e6, event.time_range.end / 1e6) for event in events)
        return {"kernels": len(events), "busy_seconds": union(spans), "kinds": dict(kinds.most_common())}

    return stop


def union(spans: Iterable[tuple[float, float]]) -> float:
    """Length of what these spans, from and to, cover.

    >>> union([(0, 2), (5, 6), (1, 3)])
    4.0
    """
    covered, end = 0.0, float("-inf")
    for begin, until in sorted(spans):
        covered += max(0, until - max(begin, end))
        end = max(end, until)
    return covered
