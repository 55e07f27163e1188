"""A plugin for vLLM (`vllm.general_plugins`): PaddleOCR-VL with a packed vision encoder.

VLLM calls `register` in each of its processes. On a vLLM without the classes that it builds on the stock class stays,
and that is said once.
"""

from __future__ import annotations

import importlib
import logging
from typing import Final

ARCHITECTURE: Final = "PaddleOCRVLForConditionalGeneration"
NAME: Final = "ocrvl"
"""The entry point's name, by which `VLLM_PLUGINS` chooses it."""

_MODULE: Final = "ocrvl.plugin.model"


def register() -> None:
    """Put the packed class in the place of vLLM's own."""
    from vllm import ModelRegistry

    try:
        model = importlib.import_module(_MODULE)
    except (ImportError, TypeError) as error:
        logging.getLogger("vllm.ocrvl").warning(
            "vLLM's own class reads PaddleOCR-VL's pictures, one by one: this vLLM is not known, %s", error
        )
        return
    # the class and not its name: to learn about a class that it knows by name, vLLM starts a process that imports all
    # of vLLM again, at each start of an engine where its cache does not outlast the container
    ModelRegistry.register_model(ARCHITECTURE, model.PackedPaddleOCRVL)


def is_registered() -> bool:
    """Whether the packed class is what this process's vLLM takes for PaddleOCR-VL."""
    from vllm import ModelRegistry

    registered = getattr(ModelRegistry.models.get(ARCHITECTURE), "model_cls", None)
    return getattr(registered, "__module__", "") == _MODULE
