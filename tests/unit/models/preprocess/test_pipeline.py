"""`ocrvl.models.preprocess.pipeline`: a request's images, packed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ocrvl.checkpoint import nano_path
from ocrvl.errors import InvalidArgument
from ocrvl.imaging.decode import ImageLimits
from ocrvl.imaging.grid import PixelGrid
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.wire import Task
from tests.support import images


@pytest.fixture(scope="module")
def preprocessor() -> Preprocessor:
    return Preprocessor(PixelGrid.from_checkpoint(nano_path()), ImageLimits())


def blank(width: int, height: int) -> bytes:
    return images.encode(Image.new("RGB", (width, height), "white"))


def test_images_are_packed_in_their_order(preprocessor: Preprocessor) -> None:
    files = [blank(112, 56), images.encode(images.plain()), blank(56, 140)]
    together = preprocessor.preprocess(files, [Task.OCR], Options())
    alone = [preprocessor.preprocess([file], [Task.OCR], Options()) for file in files]
    np.testing.assert_array_equal(together.patches, np.concatenate([one.patches for one in alone]))
    assert together.grids.tolist() == [[1, 4, 8], alone[1].grids[0].tolist(), [1, 10, 4]]
    assert together.source_sizes.tolist() == [[112, 56], [*images.plain().size], [56, 140]]


def test_one_task_is_for_all_images(preprocessor: Preprocessor) -> None:
    packed = preprocessor.preprocess([blank(99, 99)] * 3, [Task.TABLE], Options())
    assert packed.tasks == (Task.TABLE,) * 3


def test_a_number_of_tasks_that_does_not_fit_is_refused(preprocessor: Preprocessor) -> None:
    with pytest.raises(InvalidArgument, match="2 tasks for 3 images"):
        preprocessor.preprocess([blank(99, 99)] * 3, [Task.OCR, Task.TABLE], Options())


@pytest.mark.parametrize("count", [0, 65])
def test_a_number_of_images_outside_the_limits_is_refused(preprocessor: Preprocessor, count: int) -> None:
    with pytest.raises(InvalidArgument, match=f"{count} images in one request, 1 to 64"):
        preprocessor.preprocess([blank(99, 99)] * count, [Task.OCR], Options())


def test_a_bad_image_fails_its_request_by_number(preprocessor: Preprocessor) -> None:
    with pytest.raises(InvalidArgument, match="image 1: it has no bytes"):
        preprocessor.preprocess([blank(99, 99), b""], [Task.OCR], Options())


def test_a_bad_image_fails_alone_where_that_is_asked(preprocessor: Preprocessor) -> None:
    done = preprocessor.preprocess([b"", blank(112, 56), b"x"], [Task.OCR], Options(on_error="keep"))
    assert [bool(error) for error in done.errors] == [True, False, True]
    assert done.errors[0] == "[INVALID_ARG] image 0: it has no bytes"
    assert [image.index for image in done.images()] == [1]


@pytest.mark.parametrize("kind", [kind for kind, (_, reason) in images.bad_files().items() if "aspect" in reason])
def test_shapes_that_the_model_cannot_take_are_refused(preprocessor: Preprocessor, kind: str) -> None:
    data, reason = images.bad_files()[kind]
    with pytest.raises(InvalidArgument, match=reason):
        preprocessor.preprocess([data], [Task.OCR], Options())


@pytest.mark.parametrize("kind", images.tiny_files())
def test_tiny_crops_are_enlarged_to_the_least_size(preprocessor: Preprocessor, kind: str) -> None:
    packed = preprocessor.preprocess([images.tiny_files()[kind]], [Task.OCR], Options())
    _, rows, columns = packed.grids[0].tolist()
    assert rows * columns * 14 * 14 >= preprocessor.grid.min_pixels


def test_a_request_may_set_its_own_pixel_limits(preprocessor: Preprocessor) -> None:
    large = preprocessor.preprocess([blank(280, 280)], [Task.OCR], Options())
    small = preprocessor.preprocess([blank(280, 280)], [Task.OCR], Options(min_pixels=784, max_pixels=19_600))
    assert len(large.patches) == 400
    assert len(small.patches) == 100


def test_limits_that_exclude_each_other_are_refused(preprocessor: Preprocessor) -> None:
    with pytest.raises(InvalidArgument, match=r"min_pixels \(90000\) is larger than max_pixels \(1000\)"):
        preprocessor.preprocess([blank(99, 99)], [Task.OCR], Options(min_pixels=90_000, max_pixels=1_000))


def test_images_are_not_enlarged_beyond_what_the_checkpoint_reads(preprocessor: Preprocessor) -> None:
    most = preprocessor.grid.max_pixels
    large = preprocessor.preprocess([blank(8, 8)], [Task.OCR], Options(min_pixels=most, max_pixels=2 * most))
    assert len(large.patches) * 14 * 14 >= most
    with pytest.raises(InvalidArgument, match=rf"min_pixels \({most + 1}\): images are enlarged to {most} pixels"):
        preprocessor.preprocess([blank(8, 8)], [Task.OCR], Options(min_pixels=most + 1, max_pixels=2 * most))


def test_an_image_that_the_model_could_not_take_is_refused_before_it_is_resized() -> None:
    preprocessor = Preprocessor(PixelGrid.from_checkpoint(nano_path()), ImageLimits(), max_tokens=100)
    assert len(preprocessor.preprocess([blank(280, 252)], [Task.OCR], Options()).patches) == 4 * 90
    with pytest.raises(InvalidArgument, match="it takes 100 tokens, the model's length is 100: lower max_pixels"):
        preprocessor.preprocess([blank(280, 280)], [Task.OCR], Options())


def test_a_request_may_not_come_to_more_than_its_share_of_memory() -> None:
    # room for two images of 280x280
    preprocessor = Preprocessor(
        PixelGrid.from_checkpoint(nano_path()), ImageLimits(max_patch_bytes=2 * 3 * 280 * 280 + 1)
    )
    files = [blank(280, 280)] * 3
    with pytest.raises(InvalidArgument, match="image 2: resized to 280x280, it takes its request over 470401 bytes"):
        preprocessor.preprocess(files, [Task.OCR], Options())
    kept = preprocessor.preprocess(files, [Task.OCR], Options(on_error="keep"))
    assert [bool(error) for error in kept.errors] == [False, False, True]


def test_small_spotting_images_are_doubled(preprocessor: Preprocessor) -> None:
    packed = preprocessor.preprocess([blank(280, 140)], [Task.SPOTTING], Options())
    assert packed.grids.tolist() == [[1, 20, 40]]
    assert packed.source_sizes.tolist() == [[280, 140]]
