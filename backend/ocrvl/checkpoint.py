"""Where a checkpoint's files are: the embedded nano, a local folder, or a Hugging Face hub id."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

NANO: Final = "nano"
"""The name of the checkpoint of PaddleOCR-VL that comes with this package: for demos and tests."""

FIELDS: Final = "fields"
"""The name of the one that finds fields of receipts."""


def nano_path() -> Path:
    """The folder of the embedded checkpoint."""
    return embedded_path(NANO)


def embedded_path(name: str) -> Path:
    """The folder of a checkpoint that comes with this package."""
    return Path(__file__).parent / "checkpoints" / name


def resolve_checkpoint(
    name: str, base: Path, embedded: str = NANO, ignored: Sequence[str] = ("*.pdparams", "*.onnx")
) -> Path:
    """The local folder of a checkpoint.

    `name` is `embedded`, a folder (relative ones are looked for under `base`), or a hub id such as
    `PaddlePaddle/PaddleOCR-VL-1.6`, which is downloaded to the hub's cache unless it is there already, without
    `ignored` files. Raises `FileNotFoundError` with what was tried.
    """
    if name == embedded:
        return embedded_path(name)
    local = base / Path(name).expanduser()
    if local.is_dir():
        return local
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"no checkpoint at {local}: name a folder, a hub id (owner/name) or {embedded!r}")
    from huggingface_hub import snapshot_download  # only where a hub id is used

    try:
        return Path(snapshot_download(name, ignore_patterns=list(ignored)))
    except Exception as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise FileNotFoundError(f"checkpoint {name!r} is neither a folder nor on the hub{offline}: {error}") from error


if __name__ == "__main__":  # python -m ocrvl.checkpoint NAME: fetch it ahead of a start, into the hub's cache
    print(resolve_checkpoint(sys.argv[1], Path.cwd()))  # noqa: T201 - a command
