"""`ocrvl.vllm_plugin.processor`: patches as they are, beside images as vLLM takes them, on the embedded checkpoint."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from vllm.engine.arg_utils import EngineArgs
from vllm.multimodal import MULTIMODAL_REGISTRY

from ocrvl import vllm_plugin as plugin
from ocrvl.checkpoint import resolve_checkpoint
from ocrvl.imaging.decode import ImageLimits
from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import normalize_patches
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.prompts import IMAGE_TOKEN
from ocrvl.vllm_plugin.processor import PatchProcessor
from ocrvl.wire import Task
from tests.support.images import encode

CHECKPOINT = resolve_checkpoint("nano", Path())
PROMPT = f"<|IMAGE_START|>{IMAGE_TOKEN}<|IMAGE_END|>OCR:"
SIZES = ((140, 56), (90, 200))


@pytest.fixture(scope="module")
def processor() -> Any:
    plugin.register()
    config = EngineArgs(model=str(CHECKPOINT), dtype="float32", enforce_eager=True).create_engine_config()
    return MULTIMODAL_REGISTRY.create_processor(config.model_config)


def process(processor: Any, prompt: str, images: Any) -> Any:
    items = processor.info.parse_mm_data({"image": images})
    return processor(
        prompt, mm_items=items, mm_uuid_items={"image": [str(number) for number in range(len(items["image"]))]}
    )


def drawn() -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)) for width, height in SIZES]


def as_patches(processor: Any, images: list[Image.Image]) -> dict[str, Any]:
    preprocessor = Preprocessor(PixelGrid.from_checkpoint(CHECKPOINT), ImageLimits(), exact_resize=True)
    files = [encode(image, "PNG") for image in images]
    packed = list(preprocessor.preprocess(files, [Task.OCR] * len(files), Options()).images())
    return {
        "pixel_values": [torch.from_numpy(image.patches) for image in packed],
        "image_grid_thw": torch.tensor([image.grid for image in packed]),
    }


def test_patches_become_what_their_images_become(processor: Any) -> None:
    assert isinstance(processor, PatchProcessor)
    images = drawn()
    patches = as_patches(processor, images)
    ours, theirs = process(processor, PROMPT * 2, patches), process(processor, PROMPT * 2, images)
    assert ours["prompt_token_ids"] == theirs["prompt_token_ids"]
    assert ours["mm_placeholders"]["image"] == theirs["mm_placeholders"]["image"]
    grid = PixelGrid.from_checkpoint(CHECKPOINT)
    # Where torchvision is there, transformers resizes with it, which rounds a few pixels to the level beside.
    most_levels = 1 if find_spec("torchvision") else 0
    for given, mine, stock in zip(
        patches["pixel_values"], ours["mm_kwargs"]["image"], theirs["mm_kwargs"]["image"], strict=True
    ):
        mine, stock = mine.get_data(), stock.get_data()
        assert mine["pixel_values"].dtype is torch.uint8
        assert mine["pixel_values"].data_ptr() == given.data_ptr()
        assert mine["image_grid_thw"].tolist() == stock["image_grid_thw"].tolist()
        normalised = normalize_patches(mine["pixel_values"].numpy(), grid).reshape(-1, 588)
        levels = np.abs(normalised - stock["pixel_values"].flatten(1).float().numpy()) * 127.5
        assert levels.max() <= most_levels + 1e-3
        assert np.mean(levels > 0.5) <= 0.01


@pytest.mark.parametrize(
    ("patches", "grids", "problem"),
    [
        ([24], [[1, 4, 6], [1, 4, 6]], "shape [2, 3] for 1 images"),
        ([24], [[1, 4, 4]], "24 patches for a grid of 4 x 4"),
        ([15], [[1, 3, 5]], "(1, 3, 5) is no grid"),
        ([32], [[2, 4, 4]], "(2, 4, 4) is no grid"),
    ],
)
def test_patches_that_do_not_fit_their_grids_are_refused(
    processor: Any, patches: list[int], grids: list[list[int]], problem: str
) -> None:
    tensors = [torch.zeros(count, 588, dtype=torch.uint8) for count in patches]
    with pytest.raises(ValueError, match=r"image_grid_thw|pixel_values") as raised:
        process(processor, PROMPT, {"pixel_values": tensors, "image_grid_thw": torch.tensor(grids)})
    assert problem in str(raised.value)


def test_other_fields_are_named(processor: Any) -> None:
    with pytest.raises(ValueError, match="these have \\['pixels'\\]"):
        process(processor, PROMPT, {"pixels": []})
