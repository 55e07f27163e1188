"""The facts of a model repository and its checkpoint on the disk; nothing is downloaded."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ocrvl_cli.diagnostics.facts import Checkpoint, Repository

_LFS: Final = b"version https://git-lfs"
_LFS_BYTES: Final = 1024
_INDEX: Final = "model.safetensors.index.json"
_GPU_SHARE: Final = 0.9
"""Of a GPU's memory an engine takes this share unless its settings say otherwise."""


def gather_repository(folder: Path | None) -> Repository:
    """The facts of a model repository; None for the one that comes with this package."""
    if folder is None:
        from ocrvl.launcher.locate import TritonNotFound, find_model_repository

        try:
            folder = find_model_repository()
        except TritonNotFound as error:
            return Repository("", str(error))
    from ocrvl.launcher.mps import engines_share_a_gpu

    engine = folder / "paddleocr_vl"
    settings = engine / "1/model.json"
    try:
        config = (engine / "config.pbtxt").read_text("utf-8")
        arguments = json.loads(settings.read_text("utf-8"))
        name = str(arguments["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        return Repository(str(folder), f"{settings.relative_to(folder)} cannot be used: {what}")
    share = arguments.get("gpu_memory_utilization", _GPU_SHARE)
    return Repository(
        str(folder),
        checkpoint=gather_checkpoint(name, settings.parent),
        # an engine on each GPU, or one over several; the shipped one has neither
        needs_gpus="KIND_GPU" in config or '"gpus"' in config,
        shares_gpus=engines_share_a_gpu(folder),
        gpu_memory_utilization=float(share) if isinstance(share, int | float) else _GPU_SHARE,
    )


def gather_checkpoint(name: str, base: Path) -> Checkpoint:
    """The facts of a checkpoint: `nano`, a folder (relative ones under `base`), or a hub id in the hub's cache."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    try:
        folder = _find(name, base)
    except FileNotFoundError as error:
        return Checkpoint(name, problem=str(error))
    if folder is None:
        return Checkpoint(name, offline=offline)
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    pointers = [file for file, size in files.items() if size < _LFS_BYTES and _is_pointer(folder / file)]
    return Checkpoint(name, folder, files, _shards(folder / _INDEX), tuple(pointers), offline=offline)


def _find(name: str, base: Path) -> Path | None:
    """The checkpoint's folder; None for a hub id that is not in the cache."""
    is_hub_id = name.count("/") == 1 and not name.startswith((".", "/", "~")) and not (base / name).is_dir()
    if not is_hub_id:
        from ocrvl.checkpoint import resolve_checkpoint

        return resolve_checkpoint(name, base)
    if find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception:
        # each version of it says "not in the cache" by another error
        return None


def _is_pointer(path: Path) -> bool:
    return path.read_bytes().startswith(_LFS)


def _shards(index: Path) -> tuple[str, ...]:
    """The files of weights that an index names; none where there is no index that can be read."""
    try:
        content: Any = json.loads(index.read_text("utf-8"))
        return tuple(sorted(set(content["weight_map"].values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()
