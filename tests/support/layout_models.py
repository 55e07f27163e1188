"""A network in place of PP-DocLayoutV3's or V2's: what it finds is drawn up here, its inputs and outputs are theirs.

An ONNX model for ONNX Runtime and the `inference.yml` that PaddleX wants beside it, from PaddleX's own list of them.
Scores are multiplied by how red a page is, so that pages in the wrong order of channels, or not scaled to 0..1, have
other blocks; boxes are in pixels of the page, computed from the inputs that tell its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper
from paddlex.modules.base.utils.pdparams2safetensors.inference_meta import build_inference_meta

from ocrvl.models.regions import LABELS

Box = tuple[float, float, float, float]

_SIDE = 800
MASK_SIDE = 200
"""Masks are the network's image at a quarter."""


@dataclass(frozen=True)
class Found:
    """A block that the network finds on every page: `box` in shares of the page, `order` its place when read.

    `mask` has its shape, [200, 200] over the page, its box unless given. With `wider` the box reaches as many shares
    further to the right as pages went through the network together.
    """

    label: str
    score: float
    box: Box
    order: int
    mask: npt.NDArray[np.int32] | None = None
    wider: float = 0.0

    def drawn_mask(self) -> npt.NDArray[np.int32]:
        """The mask, drawn where none is given."""
        if self.mask is not None:
            return self.mask
        left, top, right, bottom = (round(side * MASK_SIDE) for side in self.box)
        drawn = np.zeros((MASK_SIDE, MASK_SIDE), np.int32)
        drawn[top:bottom, left:right] = 1
        return drawn


def write_model(folder: Path, found: Sequence[Found], name: str = "PP-DocLayoutV3") -> Path:
    """Write the files of a model that finds this on a red page; returns the folder."""
    folder.mkdir(exist_ok=True)
    config = {"Global": {"model_name": name}, **build_inference_meta(name)}
    (folder / "inference.yml").write_text(yaml.safe_dump(config), "utf-8")
    onnx.save(_network(found, masks=name == "PP-DocLayoutV3"), folder / "inference.onnx")
    return folder


def _network(found: Sequence[Found], masks: bool) -> onnx.ModelProto:
    count = len(found)
    # V2's rows end in two columns of order: the first counts, the second is for equal places
    columns = 7 if masks else 8
    constants: dict[str, npt.NDArray[Any]] = {
        "classes": np.array([[[LABELS.index(block.label)] for block in found]], np.float32),
        "scores": np.array([[[block.score] for block in found]], np.float32),
        "boxes": np.array([[block.box for block in found]], np.float32),
        "wider": np.array([[[0, 0, block.wider, 0] for block in found]], np.float32),
        "orders": np.array([[[block.order] + [0] * (columns - 7) for block in found]], np.float32),
        "count": np.array([count], np.int32),
        "masks": np.array([[block.drawn_mask() for block in found]], np.int32),
        "sides": np.array([1, 0, 1, 0], np.int64),
        "first": np.array([0], np.int64),
        "row_axis": np.array([1], np.int64),
        "image_axes": np.array([2, 3], np.int64),
        "row_shape": np.array([-1, columns], np.int64),
        "mask_shape": np.array([-1, MASK_SIDE, MASK_SIDE], np.int64),
        "rows_as_they_are": np.array([1, 1], np.int64),
        "masks_as_they_are": np.array([1, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("Shape", ["image"], ["pages"], start=0, end=1),
        helper.make_node("Cast", ["pages"], ["pages_float"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["pages", "rows_as_they_are"], ["row_tiles"], axis=0),
        # [N, 2] of height and width, as the network knows them: its own size by the scale
        helper.make_node("Div", ["im_shape", "scale_factor"], ["page_size"]),
        helper.make_node("Gather", ["page_size", "sides"], ["page_sides"], axis=1),
        helper.make_node("Unsqueeze", ["page_sides", "row_axis"], ["page_box"]),
        helper.make_node("Mul", ["wider", "pages_float"], ["widened"]),
        helper.make_node("Add", ["boxes", "widened"], ["shares"]),
        helper.make_node("Mul", ["shares", "page_box"], ["pixels"]),
        helper.make_node("Gather", ["image", "first"], ["red"], axis=1),
        helper.make_node("ReduceMean", ["red", "image_axes"], ["redness"], keepdims=0),
        helper.make_node("Unsqueeze", ["redness", "row_axis"], ["redness_column"]),
        helper.make_node("Mul", ["scores", "redness_column"], ["page_scores"]),
        helper.make_node("Tile", ["classes", "row_tiles"], ["page_classes"]),
        helper.make_node("Tile", ["orders", "row_tiles"], ["page_orders"]),
        helper.make_node("Concat", ["page_classes", "page_scores", "pixels", "page_orders"], ["table"], axis=2),
        helper.make_node("Reshape", ["table", "row_shape"], ["fetch_name_0"]),
        helper.make_node("Tile", ["count", "pages"], ["fetch_name_1"]),
    ]
    outputs = [
        helper.make_tensor_value_info("fetch_name_0", TensorProto.FLOAT, [None, columns]),
        helper.make_tensor_value_info("fetch_name_1", TensorProto.INT32, [None]),
    ]
    if masks:
        nodes += [
            helper.make_node("Concat", ["pages", "masks_as_they_are"], ["mask_tiles"], axis=0),
            helper.make_node("Tile", ["masks", "mask_tiles"], ["page_masks"]),
            helper.make_node("Reshape", ["page_masks", "mask_shape"], ["fetch_name_2"]),
        ]
        outputs.append(helper.make_tensor_value_info("fetch_name_2", TensorProto.INT32, [None, MASK_SIDE, MASK_SIDE]))
    graph = helper.make_graph(
        nodes,
        "layout",
        [
            helper.make_tensor_value_info("im_shape", TensorProto.FLOAT, [None, 2]),
            helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 3, _SIDE, _SIDE]),
            helper.make_tensor_value_info("scale_factor", TensorProto.FLOAT, [None, 2]),
        ],
        outputs,
        [numpy_helper.from_array(values, key) for key, values in constants.items()],
    )
    # not the newest that this `onnx` knows, which ONNX Runtime may not read yet
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model
