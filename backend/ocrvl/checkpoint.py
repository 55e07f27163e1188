"""Where a checkpoint's files are: the embedded nano, a local folder, or a Hugging Face hub id."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

NANO: Final = "nano"
"""The name of the checkpoint that comes with this package: for demos and tests."""


def nano_path() -> Path:
    """The folder of the embedded checkpoint."""
    return Path(__file__).parent / "checkpoints" / NANO


def resolve_checkpoint(name: str, base: Path) -> Path:
    """The local folder of a checkpoint.

    `name` is `nano`, a folder (relative ones are looked for under `base`), or a hub id such as
    `PaddlePaddle/PaddleOCR-VL-1.6`, which is downloaded to the hub's cache unless it is there already. Raises
    `FileNotFoundError` with what was tried.
    """
    if name == NANO:
        return nano_path()
    local = base / Path(name).expanduser()
    if local.is_dir():
        return local
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"no checkpoint at {local}: name a folder, a hub id (owner/name) or {NANO!r}")
    from huggingface_hub import snapshot_download  # only where a hub id is used

    try:
        return Path(snapshot_download(name, ignore_patterns=["*.pdparams", "*.onnx"]))
    except Exception as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise FileNotFoundError(f"checkpoint {name!r} is neither a folder nor on the hub{offline}: {error}") from error


if __name__ == "__main__":  # python -m ocrvl.checkpoint NAME: fetch it ahead of a start, into the hub's cache
    print(resolve_checkpoint(sys.argv[1], Path.cwd()))  # noqa: T201 - a command
