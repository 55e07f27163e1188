"""Models whose packages are an extra of their own: where these are not installed, the server starts without them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ocrvl.wire import Model

RECEIPT_PACKAGES: Final = ("onnxruntime", "rapidocr", "tokenizers")
"""Those of the extra `receipt`."""

_OPTIONAL: Final = (Model.FIELDS, Model.RECEIPT)


def is_installed(package: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(package) is not None


def installed_models(
    repository: Path,
    models: tuple[str, ...],
    on_line: Callable[[str], None],
    is_installed: Callable[[str], bool] = is_installed,
) -> tuple[str, ...]:
    """The models to load, none for all of the repository: those asked for, or all but such as lack their packages.

    What is left out is said by `on_line`. Raises `ValueError` where a model was asked for that lacks its packages.
    """
    missing = [package for package in RECEIPT_PACKAGES if not is_installed(package)]
    there = {path.parent.name for path in repository.glob("*/config.pbtxt")}
    lacking = [model.value for model in _OPTIONAL if missing and model in there]
    if not lacking:
        return models
    reason = f"not installed: {', '.join(missing)}; for receipts install ocrvl with its extra 'receipt'"
    if named := [model for model in lacking if model in models]:
        raise ValueError(f"{', '.join(named)}: {reason}")
    if models:
        return models
    on_line(f"left out: {', '.join(lacking)} ({reason})")
    return tuple(sorted(there - set(lacking)))
