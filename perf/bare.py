"""The model that the engine's model is measured against, in its place in a repository."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from ocrvl.wire import Model

_BARE: Final = Path(__file__).parent / "baselines/direct_unary/model.py"


def install_bare_model(repository: Path) -> None:
    """Put a model with nothing in it but the engine in the place of a repository's engine's model."""
    shutil.copy(_BARE, repository / Model.ENGINE / "1/model.py")
