"""A plugin for vLLM (`vllm.general_plugins`): PaddleOCR-VL with a packed vision encoder.

VLLM calls `register` in each of its processes. On a vLLM without the classes that it builds on the stock class stays,
and a warning says so once.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Set
from typing import Final

ARCHITECTURE: Final = "PaddleOCRVLForConditionalGeneration"
NAME: Final = "ocrvl"
"""The entry point's name, by which `VLLM_PLUGINS` chooses it."""

_V2_MODELS: Final = "DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES"
_MODULE: Final = "ocrvl.vllm_plugin.model"
_ADAPTERS: Final = "ocrvl.vllm_plugin.adapters"


def register() -> None:
    """Put the packed class in the place of vLLM's own."""
    from vllm import ModelRegistry
    from vllm.platforms import current_platform

    try:
        model = importlib.import_module(_MODULE)
    except (ImportError, TypeError) as error:
        logging.getLogger("vllm.ocrvl").warning(
            "vLLM's own class reads PaddleOCR-VL's images, one by one: this vLLM is not known, %s", error
        )
        return
    # the class and not its name: to learn about a class that it knows by name, vLLM starts a process that imports all
    # of vLLM again, at each start of an engine where its cache does not outlast the container
    ModelRegistry.register_model(ARCHITECTURE, model.PackedPaddleOCRVL)
    _choose_model_runner()
    if current_platform.is_cpu():
        importlib.import_module(_ADAPTERS).replace_cpu_arithmetic(type(current_platform))


def _choose_model_runner() -> None:
    """Have PaddleOCR-VL run by the newer of vLLM's two model runners, as later versions have it by themselves.

    The versions that ask which models it is for then look themselves whether it has what an engine's arguments want,
    and take the older one where it has not, with a warning; `VLLM_USE_V2_MODEL_RUNNER` overrules.
    """
    from vllm.config import vllm as config
    from vllm.platforms import current_platform

    known = getattr(config, _V2_MODELS, None)
    if isinstance(known, Set) and current_platform.is_cuda():
        setattr(config, _V2_MODELS, frozenset({*known, ARCHITECTURE}))


def is_registered() -> bool:
    """Whether the packed class is what this process's vLLM takes for PaddleOCR-VL."""
    from vllm import ModelRegistry

    registered = getattr(ModelRegistry.models.get(ARCHITECTURE), "model_cls", None)
    return getattr(registered, "__module__", "") == _MODULE
