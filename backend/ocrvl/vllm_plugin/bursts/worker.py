"""Mixed into workers of vLLM's, before them: their model runner runs bursts where the scheduler gives them out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ocrvl.vllm_plugin.bursts.settings import BurstSettings, problems_of

_LOG: Final = logging.getLogger("vllm.ocrvl")


if TYPE_CHECKING:
    _Own = Any
else:
    _Own = object


class BurstWorker(_Own):
    """Has what vLLM's `Worker` has."""

    runs_bursts = True

    def init_device(self) -> None:
        """VLLM's own, and a model runner that knows bursts, where they are asked for and can be had."""
        super().init_device()
        tokens = BurstSettings.of(self.vllm_config).tokens
        if tokens == 1:
            return
        if problems := problems_of(self.vllm_config):
            _LOG.warning("texts are generated in single steps, not in bursts: %s", ", ".join(problems))
            return
        from ocrvl.vllm_plugin.bursts.runner import make_bursting

        # vLLM makes the runner of a class that it does not let one name
        self.model_runner.__class__ = make_bursting(type(self.model_runner))
        _LOG.info("texts are generated in bursts of up to %s tokens", tokens)
