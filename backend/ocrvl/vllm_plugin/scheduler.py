"""A scheduler for vLLM that lets images which come one by one into a busy engine begin together.

To read an image a GPU's host launches the vision encoder's kernels, some 20 ms for one line as for sixteen
(`perf.gpu.encoder`), and the step is done without the graphs of steps that only generate. VLLM begins an image in the
step after its arrival, so of many that come apart each costs that much, and all texts stand still meanwhile. Here,
while texts are being generated, the first to come waits for others: until as much waits as is worth such a step, or
until a short time has passed.

VLLM 0.24 to 0.32 have what this takes: a step that begins no prompt, with which ranks of data parallelism begin prompts
at the same time. With a vLLM that lacks it no image waits, and a warning says so once.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections import deque
from itertools import islice
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from ocrvl.vllm_plugin.bursts.scheduler import make_bursting
from ocrvl.vllm_plugin.bursts.settings import BurstSettings, problems_of

SCHEDULER: Final = "ocrvl.vllm_plugin.scheduler.make_scheduler"
"""What the engine argument `scheduler_cls` takes."""

_ARRIVALS: Final = 4


class GatherSettings(BaseModel):
    """The engine argument `additional_config` may have them under `gather`; vLLM leaves it to platforms and plugins."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    # measured on an H100 (docs/reports): 0.12 and 0.25 s were no faster, 1000 tokens were slower
    seconds: float = Field(0.06, ge=0)
    tokens: int = Field(2500, ge=1)


class Gathering:
    """Decides before each step whether what waits goes on waiting. Times are in seconds of one clock.

    The first to come waits for `seconds` at most, and until prompts of `tokens` wait, those of images included.
    No image waits unless the last four came so close to each other that one more is to be expected in time.
    """

    def __init__(self, settings: GatherSettings) -> None:
        self._seconds = settings.seconds
        self._tokens = settings.tokens
        self._arrivals: deque[float] = deque(maxlen=_ARRIVALS)
        self._since: float | None = None

    def arrived(self, now: float) -> None:
        """An image has come."""
        self._arrivals.append(now)

    def holds(self, now: float, tokens: int) -> bool:
        """Whether the next step begins no prompt, where prompts of so many tokens wait for texts in progress."""
        if tokens == 0:
            self._since = None
            return False
        since = self._since = now if self._since is None else self._since
        if tokens < self._tokens and now - since < self._seconds and self._is_busy(now):
            return True
        self._since = None
        return False

    def _is_busy(self, now: float) -> bool:
        return len(self._arrivals) == _ARRIVALS and now - self._arrivals[0] <= _ARRIVALS * self._seconds


def make_scheduler(*args: Any, **kwargs: Any) -> Any:
    """The scheduler that vLLM would take by itself, which gathers and looks less often for repetitions.

    Called as vLLM calls the class.
    """
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler

    config = kwargs["vllm_config"]
    own = _bursting(_sparse(AsyncScheduler if config.scheduler_config.async_scheduling else Scheduler), config)
    if not can_hold(own):
        logging.getLogger("vllm.ocrvl").warning("images do not wait for each other: this vLLM is not known")
        return own(*args, **kwargs)
    settings = GatherSettings.model_validate((config.additional_config or {}).get("gather", {}))
    return _gathering(own)(Gathering(settings), *args, **kwargs)


def can_hold(scheduler: type) -> bool:
    """Whether a step of this scheduler can begin no prompt."""
    return "throttle_prefills" in inspect.signature(scheduler.schedule).parameters  # type: ignore[attr-defined]


def _sparse(own: Any) -> Any:
    try:
        from ocrvl.vllm_plugin.repetition import SparseRepetition
    except ImportError:
        return own
    if not hasattr(own, "_update_request_with_output"):
        return own
    return type(own.__name__, (SparseRepetition, own), {})


def _bursting(own: Any, config: Any) -> Any:
    settings = BurstSettings.of(config)
    # what stands against them the worker says
    if settings.tokens == 1 or problems_of(config):
        return own
    return make_bursting(own, settings)


def _gathering(own: Any) -> Any:
    class GatheringScheduler(own):
        def __init__(self, gathering: Gathering, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._gathering = gathering

        def add_request(self, request: Any) -> None:
            self._gathering.arrived(time.monotonic())
            super().add_request(request)

        def schedule(self, throttle_prefills: bool = False) -> Any:
            holds = self._gathering.holds(time.monotonic(), self._held_tokens())
            if holds:
                # vLLM holds none back while more wait than its last step could begin: always, with more in
                # flight than `max_num_seqs`, while places become free one by one as texts end
                self.prefill_capacity_bound = False
            return super().schedule(throttle_prefills or holds)

        def _held_tokens(self) -> int:
            """Tokens that wait for texts in progress, of as many images as there are places for.

            0 where no text is in progress; what is half read is not interrupted.
            """
            places = self.max_num_running_reqs - len(self.running)
            # mostly none can begin, and then the step looks at no request for it
            if not self.waiting or not self.running or places <= 0:
                return 0
            if any(request.is_prefill_chunk for request in self.running):
                return 0
            return sum(request.num_prompt_tokens for request in islice(self.waiting, places))

    return GatheringScheduler
