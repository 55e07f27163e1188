"""`ocrvl.messages`: messages survive their tensors, and tensors that do not fit are refused."""

from __future__ import annotations

import numpy as np
import pytest

from ocrvl.errors import InvalidArgument
from ocrvl.messages import PackedImages, encode_texts
from ocrvl.wire import Task, Tensor
from tests.support.engine_inputs import GRID, Tensors, changed, grids, packed


def decode(tensors: Tensors) -> PackedImages:
    return PackedImages.decode_tensors(tensors.__getitem__, GRID)


def test_packed_images_survive_their_tensors() -> None:
    sent, got = packed(), decode(packed().encode_tensors())
    np.testing.assert_array_equal(got.patches, sent.patches)
    np.testing.assert_array_equal(got.grids, sent.grids)
    assert (got.tasks, got.errors, got.options) == (sent.tasks, sent.errors, sent.options)


def test_each_image_gets_its_own_patches_and_failed_ones_are_left_out() -> None:
    first, third = packed().images()
    assert (first.index, first.grid, first.task) == (0, (1, 2, 4), Task.OCR)
    assert (third.index, third.grid, third.task) == (2, (1, 4, 2), Task.TABLE)
    np.testing.assert_array_equal(third.patches, packed().patches[8:])
    assert np.shares_memory(*(image.patches.base for image in [*decode(packed().encode_tensors()).images()]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (changed(Tensor.PATCHES, lambda a: a[:, :-1]), "the grids have 16 patches, there are 15"),
        (changed(Tensor.PATCHES, lambda a: a[:, :, :-1]), "587 bytes a patch, the model has 588"),
        (changed(Tensor.PATCHES, lambda a: a[0]), "patches: shape [16, 588]"),
        (changed(Tensor.GRID_THW, grids((1, 2, 4), (0, 0, 0), (1, -4, -2))), "grid_thw 2: (1, -4, -2) is no grid"),
        (changed(Tensor.GRID_THW, grids((1, 2, 4), (0, 0, 0), (1, 8, 1))), "grid_thw 2: (1, 8, 1) is no grid"),
        (changed(Tensor.GRID_THW, grids((1, 2, 4), (0, 0, 0), (2, 2, 2))), "grid_thw 2: (2, 2, 2) is no grid"),
        (changed(Tensor.GRID_THW, grids((1, 2, 4), (1, 2, 4), (0, 0, 0))), "grid_thw 1: a failed image has no grid"),
        (changed(Tensor.GRID_THW, grids((1, 2, 4), (0, 0, 0), (0, 0, 0))), "grid_thw 2: (0, 0, 0) is no grid"),
        (changed(Tensor.GRID_THW, grids((1, 2, 4), (0, 0, 0), (1, 2**40, 2))), "the grids have"),
        (changed(Tensor.GRID_THW, grids((1, 2, 4))), "3 tasks do not go with grids (1, 3)"),
        (changed(Tensor.SOURCE_SIZE, lambda a: a[:, :2]), "3 tasks do not go with"),
        (changed(Tensor.IMAGE_ERROR, lambda a: a[:, :2]), "3 tasks do not go with"),
        (changed(Tensor.TASKS, lambda _: encode_texts(["ocr", "ocr", "poem"])[None]), "unknown task 'poem'"),
        (changed(Tensor.TASKS, lambda _: np.array([[b"\xff"] * 3], object)), "tasks 0: not UTF-8"),
        (changed(Tensor.TASKS, lambda _: encode_texts(["ocr"] * 65)[None]), "65 images, 1 to 64 are taken"),
        (changed(Tensor.TASKS, lambda a: a[:, :0]), "0 images, 1 to 64 are taken"),
        (changed(Tensor.CHECKED_OPTIONS, lambda _: encode_texts(['{"x": 1}'])[None]), "unknown key 'x'"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tensors: Tensors, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode(tensors)
    assert reason in str(caught.value)
