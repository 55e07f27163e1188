"""PaddleOCR's own layout models, PP-DocLayoutV3 and V2, through PaddleX's predictors.

None of its engines here needs PaddlePaddle. What can be wrong with a model's files or with what runs them is found when
it is loaded, and said in a sentence that begins with the setting to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from ocrvl.models.layout.detectors import MERGE_MODES, Pixels, threshold_of
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.regions import Region

Engine = Literal["transformers", "onnxruntime"]

_FILES: Final[Mapping[Engine, str]] = {"transformers": "model.safetensors", "onnxruntime": "inference.onnx"}
_CONFIG_FILE: Final = "inference.yml"
_THRESHOLD: Final = 0.3
"""`threshold` of the layout model in PaddleOCR-VL-1.5 and 1.6 (PaddleX, `PaddleOCR-VL-1.6.yaml`)."""

_LEFT, _TOP, _RIGHT, _BOTTOM = range(2, 6)
"""Columns of a detector's rows, after class and score."""


def default_engine(device: str) -> Engine:
    """What runs a model on a device (`cpu`, `gpu:0`) unless it is set.

    ONNX Runtime on a CPU, which needs nothing beyond the embedded model's needs. Its usual wheel runs on CPUs alone, so
    on a GPU it is transformers, which uses the torch that vLLM brings.
    """
    return "transformers" if device.startswith("gpu") else "onnxruntime"


class PaddleDetector:
    """PP-DocLayoutV3 or V2, which also know the reading order, and V3 polygons.

    `folder` holds the model's files; without it PaddleX fetches them from its hubs. `device` is PaddleX's (`cpu`,
    `gpu:0`); `batch_size` pages at most go through the network together; `threads` are those of a CPU.

    Raises `ValueError` where the model cannot be loaded.
    """

    def __init__(
        self, name: str, folder: Path | None, engine: Engine, device: str, batch_size: int, threads: int
    ) -> None:
        _check(folder, engine, device)
        self._predictor = _create(name, folder, engine, device, batch_size, threads)
        process = "layout_postprocess" if engine == "transformers" else "post_op"
        setattr(self._predictor, process, _Process(getattr(self._predictor, process)))

    def detect(self, pages: Sequence[Pixels], options: Sequence[LayoutOptions]) -> list[list[Region]]:
        """See `Detector`; pages with the same options go through the network together."""
        found: list[list[Region]] = [[] for _ in pages]
        for key in dict.fromkeys(map(_key, options)):
            alike = [index for index, one in enumerate(options) if _key(one) == key]
            chosen = options[alike[0]]
            results = self._predictor(
                # OpenCV's order of channels
                [np.ascontiguousarray(pages[index][..., ::-1]) for index in alike],
                threshold=threshold_of(chosen, _THRESHOLD),
                layout_nms=True if chosen.layout_nms is None else chosen.layout_nms,
                layout_unclip_ratio=chosen.layout_unclip_ratio,
                layout_merge_bboxes_mode=chosen.layout_merge_bboxes_mode or dict(MERGE_MODES),
                layout_shape_mode=chosen.layout_shape_mode,
                # the document's own rules do that, as in PaddleOCR-VL's pipeline
                filter_overlap_boxes=False,
            )
            for index, result in zip(alike, results, strict=True):
                found[index] = [Region.of_paddle(box) for box in result["boxes"]]
        return found


class _Process:
    """PaddleX's processing of what a network found, kept from what it cannot bear (seen in 3.7.2)."""

    def __init__(self, process: Callable[..., list[Any]]) -> None:
        self._process = process

    def __call__(
        self,
        outputs: Sequence[Mapping[str, Any]],
        datas: Sequence[Any],
        *,
        layout_merge_bboxes_mode: Any,
        **options: Any,
    ) -> list[Any]:
        found: list[Any] = [[] for _ in outputs]
        # a page without boxes is not passed on: thresholds by class fail on it
        kept = {index: rest for index, rest in enumerate(map(_drop_empty, outputs)) if len(rest["boxes"])}
        if isinstance(layout_merge_bboxes_mode, str):
            # one mode for all would leave the polygons of boxes that it removes to others; modes by class do not
            classes = {int(row[0]) for rest in kept.values() for row in rest["boxes"]}
            layout_merge_bboxes_mode = dict.fromkeys(classes, layout_merge_bboxes_mode)
        processed = self._process(
            list(kept.values()),
            [datas[index] for index in kept],
            layout_merge_bboxes_mode=layout_merge_bboxes_mode,
            **options,
        )
        for index, boxes in zip(kept, processed, strict=True):
            found[index] = boxes
        return found


def _drop_empty(output: Mapping[str, Any]) -> dict[str, Any]:
    """Without boxes of no area: they would be dropped at the end, but first their polygons are divided by."""
    boxes = np.round(output["boxes"])
    kept = np.flatnonzero((boxes[:, _RIGHT] > boxes[:, _LEFT]) & (boxes[:, _BOTTOM] > boxes[:, _TOP]))
    return {
        key: values[kept] if isinstance(values, np.ndarray) else [values[index] for index in kept]
        for key, values in output.items()
    }


def _check(folder: Path | None, engine: Engine, device: str) -> None:
    if engine == "transformers" and find_spec("torchvision") is None:
        raise ValueError(
            "engine: transformers prepares pages for this model with torchvision, which is not installed: install it, "
            "or set engine to onnxruntime"
        )
    if engine == "onnxruntime" and device.startswith("gpu"):
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise ValueError(
                f"engine: the installed onnxruntime cannot use {device}: install onnxruntime-gpu, set engine to "
                "transformers, or instance_group to KIND_CPU"
            )
    if folder is None:
        return
    if not folder.is_dir():
        raise ValueError(f"folder: there is no folder {folder}")
    for file in (_CONFIG_FILE, _FILES[engine]):
        if not (folder / file).is_file():
            raise ValueError(f"folder: {folder} has no {file}, which the engine {engine} wants")


def _create(name: str, folder: Path | None, engine: Engine, device: str, batch_size: int, threads: int) -> Any:
    from paddlex.inference import create_predictor

    settings: dict[str, Any] = {}
    if engine == "onnxruntime":
        settings["intra_op_num_threads"] = threads
    elif device == "cpu":
        import torch

        torch.set_num_threads(threads)
    try:
        return create_predictor(
            name,
            model_dir=None if folder is None else str(folder),
            engine=engine,
            engine_config=settings,
            device=device,
            batch_size=batch_size,
        )
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if folder is None:
            raise ValueError(
                f"folder: not set, and {name} could not be had from PaddleX's hubs; name a folder that holds its files "
                f"({reason})"
            ) from error
        raise ValueError(f"folder: {folder} cannot be loaded as {name} by {engine} ({reason})") from error


def _key(options: LayoutOptions) -> str:
    return options.model_dump_json()
