"""The options of a layout detector: PaddleOCR's under its names, in snake case."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ocrvl.models.regions import LABELS

Share = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(gt=0, le=10)]
ClassId = Annotated[int, Field(ge=0, lt=len(LABELS))]
MergeMode = Literal["union", "large", "small"]
ShapeMode = Literal["rect", "quad", "poly", "auto"]


class LayoutOptions(BaseModel):
    """How blocks are detected. Numbers of classes are positions in PP-DocLayoutV3's list of labels."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    layout_threshold: Share | dict[ClassId, Share] | None = Field(
        None, description="blocks of a lower score are left out"
    )
    layout_nms: bool | None = Field(None, description="of blocks that lie on each other the best is kept")
    layout_unclip_ratio: Ratio | tuple[Ratio, Ratio] | dict[ClassId, tuple[Ratio, Ratio]] | None = Field(
        None, description="boxes are widened by it: in all directions, in each, or by class"
    )
    layout_merge_bboxes_mode: MergeMode | dict[ClassId, MergeMode] | None = Field(
        None, description="of blocks inside each other `large` keeps the outer, `small` the inner, `union` both"
    )
    layout_shape_mode: ShapeMode = Field("auto", description="shape of a block, where the model knows more than a box")
