"""PaddleOCR's own rules for a page: the one module that knows PaddleX's pipeline.

The pipeline is PaddleX's, without its models. It is handed the blocks that a layout model found, filters, crops and
merges them, asks for the texts of what is left, and makes Markdown and JSON of them; what asks our engine for the texts
takes the place of its recognition model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ocrvl.markup import PRINTED_DOLLAR, mark_written
from ocrvl.models.document.options import DocumentOptions, task_of
from ocrvl.models.document.tables import can_merge_tables
from ocrvl.models.regions import Region
from ocrvl.page_markdown import to_json, to_markdown, to_word
from ocrvl.postprocess import PaddleFunctions, load_paddle_functions, postprocess_text
from ocrvl.wire import Task

_HELD_BACK: Final = re.compile("\N{NULL}held back ([0-9]+)\N{NULL}")
"""What stands for the text of a block to which PaddleX's rules are not applied, with its number among them: no model
writes it."""


@dataclass(frozen=True)
class Crop:
    """A block to be read: RGB, uint8 [height, width, 3], and its limits of pixels, None where the checkpoint's hold."""

    pixels: npt.NDArray[np.uint8]
    task: Task
    min_pixels: int | None
    max_pixels: int | None


@dataclass(frozen=True)
class BlockText:
    """What a block says, or why it could not be read."""

    text: str = ""
    error: str = ""


Recognise = Callable[[Sequence[Crop]], Sequence[BlockText]]


@dataclass
class PageResult:
    """A page as PaddleX has it (`result`), without its image.

    `errors` are by the number of the block in the JSON; `warnings` say of which blocks the text is as the model wrote
    it, and why.
    """

    result: Any
    errors: dict[int, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def markdown(self, options: DocumentOptions) -> str:
        """The page in Markdown."""
        text: str = self._converted(options)["markdown_texts"]
        return text

    def images(self, options: DocumentOptions) -> Mapping[str, Any]:
        """The cropped images that the Markdown shows (Pillow's), by the names that it calls them."""
        shown: Mapping[str, Any] = self._converted(options)["markdown_images"]
        return {name: image for name, image in shown.items() if image is not None}

    def pruned(self) -> dict[str, Any]:
        """The page as JSON, in the schema of `prunedResult`; a block that could not be read has an `error`."""
        whole = to_json(self.result)
        pruned = {key: value for key, value in whole.items() if key not in ("input_path", "page_index")}
        for number, error in self.errors.items():
            pruned["parsing_res_list"][number]["error"] = error
        return pruned

    def forget_images(self) -> None:
        """Free the pixels of its images: their names are all that is needed from here on."""
        for block in self.result["parsing_res_list"]:
            if block.image is not None:
                block.image = {**block.image, "img": None}
        self.result["imgs_in_doc"] = []

    def _converted(self, options: DocumentOptions) -> Any:
        return to_markdown(
            self.result, pretty=options.prettify_markdown, show_formula_number=options.show_formula_number
        )


class PaddlePipeline:
    """PaddleX's PaddleOCR-VL pipeline without its models. Any thread may use it."""

    def __init__(self) -> None:
        from paddlex.inference.pipelines.components import CropByBoxes
        from paddlex.inference.pipelines.layout_parsing.utils import gather_imgs
        from paddlex.inference.pipelines.paddleocr_vl.pipeline import _PaddleOCRVLPipeline
        from paddlex.inference.pipelines.paddleocr_vl.result import PaddleOCRVLResult

        self._pipeline_class = _PaddleOCRVLPipeline
        self._result_class = PaddleOCRVLResult
        self._gather_images = gather_imgs
        self._crop = CropByBoxes()
        self._paddle = load_paddle_functions()

    def read_page(
        self,
        page: npt.NDArray[np.uint8],
        regions: Sequence[Region],
        options: DocumentOptions,
        recognise: Recognise,
        *,
        index: int,
        count: int,
        key: str,
    ) -> PageResult:
        """Read a page (RGB, uint8 [height, width, 3]) whose blocks are known; blocks while `recognise` does.

        `index` and `count` are the page's and the file's; `key` makes the names of its images its own.
        """
        height, width, _ = page.shape
        image = np.ascontiguousarray(page[..., ::-1])
        boxes = [clipped for region in regions if (clipped := _clip(region.as_paddle(), width, height))]
        images = self._gather_images(image, boxes) if options.use_layout_detection else []
        settings = options.model_settings
        recogniser = _Recogniser(recognise, options, self._paddle)
        pipeline = self._new_pipeline(recogniser)
        blocks, _, spotted, _ = pipeline.get_layout_parsing_results(
            images=[image],
            layout_det_results=[{"input_path": None, "page_index": None, "boxes": boxes}],
            imgs_in_doc=[images],
            use_chart_recognition=settings["use_chart_recognition"],
            use_seal_recognition=settings["use_seal_recognition"],
            use_ocr_for_image_block=settings["use_ocr_for_image_block"],
            vlm_kwargs={"min_pixels": options.min_pixels or 0, "max_pixels": options.max_pixels or 0},
            merge_layout_blocks=settings["merge_layout_blocks"],
            layout_shape_mode=options.layout_shape_mode,
        )
        errors, warnings = _put_back(blocks[0], recogniser.held_back)
        _rename_images(blocks[0], images, key)
        result = self._result_class(
            {
                "input_path": None,
                "page_index": index,
                "page_count": count,
                "width": width,
                "height": height,
                "doc_preprocessor_res": {},
                "layout_det_res": {"boxes": boxes},
                "table_res_list": [],
                "parsing_res_list": blocks[0],
                "spotting_res": spotted[0],
                "imgs_in_doc": images,
                "model_settings": settings,
            }
        )
        return PageResult(result, errors, warnings)

    def restructure(self, pages: Sequence[PageResult], options: DocumentOptions) -> list[PageResult]:
        """Pages as parts of one document: tables that go on across pages, levels of titles. Changes the pages."""
        restructured = self._new_pipeline(None).restructure_pages(
            [page.result for page in pages],
            merge_tables=options.merge_tables and can_merge_tables([page.result for page in pages]),
            relevel_titles=options.relevel_titles,
        )
        return [replace(page, result=result) for result, page in zip(restructured, pages, strict=True)]

    def docx(self, pages: Sequence[PageResult]) -> bytes:
        """A document for Word of pages that have been restructured, with their images."""
        (whole,) = self._new_pipeline(None).restructure_pages(
            [page.result for page in pages], merge_tables=False, relevel_titles=False, concatenate_pages=True
        )
        whole["input_path"] = "document"
        return to_word(whole)

    def _new_pipeline(self, recogniser: _Recogniser | None) -> Any:
        # one a page: it has no state but the model that it asks
        pipeline = self._pipeline_class({}, initial_predictor=False)
        pipeline.crop_by_boxes = self._crop
        pipeline.layout_prep_cpu_workers = 0
        pipeline.vl_rec_model = recogniser
        return pipeline


@dataclass(frozen=True)
class _HeldBack:
    """A block's text that PaddleX does not see; why is in `error` where there is none, in `warning` else."""

    text: str
    error: str
    warning: str


class _Recogniser:
    """In the place of PaddleX's recognition model."""

    def __init__(self, recognise: Recognise, options: DocumentOptions, paddle: PaddleFunctions) -> None:
        self._recognise = recognise
        self._paddle = paddle
        self._limits = options.vlm_extra_args
        self.held_back: list[_HeldBack] = []

    def predict(
        self, inputs: Sequence[Mapping[str, Any]], *, min_pixels: int, max_pixels: int, **_: Any
    ) -> list[dict[str, str]]:
        """The texts of these blocks, BGR images with their prompts."""
        crops = [self._crop(one["image"], task_of(one["query"]), min_pixels, max_pixels) for one in inputs]
        texts = self._recognise(crops)
        return [{"result": self._checked(one, crop)} for one, crop in zip(texts, crops, strict=True)]

    def _checked(self, one: BlockText, crop: Crop) -> str:
        """The text, or what stands for it while PaddleX's rules are at work: one that they fail on fails the page."""
        height, width, _ = crop.pixels.shape
        warning = "" if one.error else postprocess_text(one.text, crop.task, (width, height), self._paddle)[1]
        if not (one.error or warning):
            # spotting's texts are parts of its JSON, as they are
            return one.text if crop.task is Task.SPOTTING else mark_written(one.text)
        self.held_back.append(_HeldBack(one.text, one.error, warning))
        return f"\N{NULL}held back {len(self.held_back) - 1}\N{NULL}"

    def _crop(self, image: Any, task: Task, least: int, most: int) -> Crop:
        pixels = np.ascontiguousarray(np.asarray(image)[..., ::-1])
        own_least = getattr(self._limits, f"{task}_min_pixels", None)
        own_most = getattr(self._limits, f"{task}_max_pixels", None)
        # PaddleX has limits of its own for spotting, which are the checkpoint's
        if task is Task.SPOTTING:
            return Crop(pixels, task, None, None)
        return Crop(pixels, task, own_least or least or None, own_most or most or None)


def _clip(box: dict[str, Any], width: int, height: int) -> dict[str, Any] | None:
    """The box within the page; None for what is outside or has no size."""
    left, top, right, bottom = box["coordinate"]
    clipped = [
        min(max(left, 0), width),
        min(max(top, 0), height),
        min(max(right, 0), width),
        min(max(bottom, 0), height),
    ]
    if clipped[2] - clipped[0] < 1 or clipped[3] - clipped[1] < 1:
        return None
    return {**box, "coordinate": clipped}


def _put_back(blocks: Sequence[Any], held_back: Sequence[_HeldBack]) -> tuple[dict[int, str], list[str]]:
    """Give the blocks the texts that were held back; the errors by the block's number, and the warnings.

    A merged block is one of the page.
    """
    errors, warnings = {}, []
    for number, block in enumerate(blocks):
        # a page that is spotted is one block, and PaddleX leaves nothing of a text without places
        held = "\N{NULL}held back 0\N{NULL}" if block.label == Task.SPOTTING and held_back else block.content
        if not (found := _HELD_BACK.search(held)):
            continue
        one = held_back[int(found[1])]
        block.content = one.text.replace("$", PRINTED_DOLLAR)
        if one.error:
            errors[number] = one.error
        else:
            warnings.append(f"block {number}: {one.warning}")
    return errors, warnings


def _rename_images(blocks: Sequence[Any], images: Sequence[dict[str, Any]], key: str) -> None:
    """PaddleX names images by their boxes: two pages may have the same."""
    names = {image["path"] for image in images} | {block.image["path"] for block in blocks if block.image is not None}
    new_names = {name: name.replace("imgs/", f"imgs/{key}_", 1) for name in names}
    for image in images:
        image["path"] = new_names[image["path"]]
    for block in blocks:
        if block.image is not None:
            block.image = {**block.image, "path": new_names[block.image["path"]]}
        for name, new_name in new_names.items():
            if name in block.content:
                block.content = block.content.replace(name, new_name)
