"""Engine arguments of vLLM that an operator adds to those that follow from the options."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ocrvl.repository.options import OptionRefused

_HAS_OPTION: Final[Mapping[str, str]] = {
    "model": "--checkpoint",
    "dtype": "--dtype",
    "max_model_len": "--max-model-len",
    "max_num_seqs": "--max-num-seqs",
    "gpu_memory_utilization": "--gpu-memory-utilization",
}
"""Arguments that other numbers follow from, so they have options of their own."""


def parse_engine_args(words: Iterable[str]) -> dict[str, Any]:
    """`NAME=VALUE` each, to a part of `model.json`; a value that is no JSON is a text.

    Raises `OptionRefused`. Whether vLLM knows an argument is checked when the engine starts.

    >>> parse_engine_args(["nnodes=2", "master_addr=ocr-0.ocr", "kv_cache_dtype=fp8"])
    {'nnodes': 2, 'master_addr': 'ocr-0.ocr', 'kv_cache_dtype': 'fp8'}
    """
    args: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise OptionRefused(f"--engine-arg: {word!r}: expected NAME=VALUE, such as block_size=32")
        if name in _HAS_OPTION:
            raise OptionRefused(f"--engine-arg: {name} has an option of its own: {_HAS_OPTION[name]}")
        if name in args:
            raise OptionRefused(f"--engine-arg: {name} is given twice")
        args[name] = _parse_value(value)
    return args


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
