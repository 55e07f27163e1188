"""What one model hands to the next: `preprocess` → `PackedImages` → engine → `Reading` for each image.

Each message knows its tensors and checks what it is handed, because the models behind the ensemble can be
called directly. The leading dimension of 1 on every tensor is Triton's batch dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.grid import PixelGrid
from ocrvl.options import Options, parse_options
from ocrvl.wire import MAX_IMAGES, FinishReason, Task, Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PackedImage:
    """One image for the engine: `patches` uint8 [P, 588], a view into the packed tensor."""

    index: int
    patches: npt.NDArray[np.uint8]
    grid: tuple[int, int, int]
    task: Task


@dataclass(frozen=True)
class CutImage:
    """One image cut into `patches`, uint8 [P, 588], for its `task`; one that has failed has an `error` and none.

    `size` is the width and height of the upright image as it was sent, in pixels.
    """

    patches: npt.NDArray[np.uint8]
    grid: tuple[int, int, int]
    size: tuple[int, int]
    task: Task
    error: str = ""
    warning: str = ""

    @classmethod
    def failed(cls, task: Task, patch_size: int, error: str, size: tuple[int, int] = (0, 0)) -> CutImage:
        """An image that has no patches, with its tagged message."""
        return cls(np.empty((0, 3 * patch_size**2), np.uint8), (0, 0, 0), size, task, error)


@dataclass(frozen=True)
class PackedImages:
    """The images of a request, cut into patches and packed one after the other.

    patches       uint8 [P, 588]: 3 channels x 14 x 14, row-major over each image's grid
    grids         int64 [N, 3]: (1, rows, columns) in patches; (0, 0, 0) for an image that failed
    source_sizes  int32 [N, 2]: width and height of the upright image as it was sent, in pixels
    tasks         N tasks
    errors        N tagged messages, empty where the image is fine
    warnings      N notes on what of a file was left out, mostly empty
    """

    patches: npt.NDArray[np.uint8]
    grids: npt.NDArray[np.int64]
    source_sizes: npt.NDArray[np.int32]
    tasks: tuple[Task, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    options: Options

    @classmethod
    def pack(cls, images: Sequence[CutImage], options: Options) -> PackedImages:
        """The images of a request, of which there is at least one."""
        return cls(
            # one alone is not copied
            patches=images[0].patches if len(images) == 1 else np.concatenate([image.patches for image in images]),
            grids=np.array([image.grid for image in images], np.int64),
            source_sizes=np.array([image.size for image in images], np.int32),
            tasks=tuple(image.task for image in images),
            errors=tuple(image.error for image in images),
            warnings=tuple(image.warning for image in images),
            options=options,
        )

    def __len__(self) -> int:
        return len(self.tasks)

    def images(self) -> Iterator[PackedImage]:
        """The images that did not fail, in their order."""
        start = 0
        for index, (grid, task) in enumerate(zip(self.grids.tolist(), self.tasks, strict=True)):
            stop = start + grid[0] * grid[1] * grid[2]
            if stop > start:
                yield PackedImage(index, self.patches[start:stop], (grid[0], grid[1], grid[2]), task)
            start = stop

    def encode_tensors(self) -> dict[Tensor, Array]:
        """The engine's input tensors, each with a leading 1."""
        return {
            Tensor.PATCHES: self.patches[None],
            Tensor.GRID_THW: self.grids[None],
            Tensor.SOURCE_SIZE: self.source_sizes[None],
            Tensor.TASKS: encode_texts(self.tasks)[None],
            Tensor.IMAGE_ERROR: encode_texts(self.errors)[None],
            Tensor.IMAGE_WARNING: encode_texts(self.warnings)[None],
            Tensor.CHECKED_OPTIONS: encode_texts([self.options.model_dump_json(exclude_defaults=True)])[None],
        }

    @classmethod
    def decode_tensors(cls, tensor: Callable[[Tensor], Array], grid: PixelGrid) -> PackedImages:
        """The message from its tensors, views where possible. Raises `InvalidArgument` for what does not fit `grid`."""
        patch_bytes = 3 * grid.patch_size**2
        patches, grids = _unbatched(tensor, Tensor.PATCHES, 2), _unbatched(tensor, Tensor.GRID_THW, 2)
        tasks = decode_texts(_unbatched(tensor, Tensor.TASKS, 1), Tensor.TASKS)
        errors = decode_texts(_unbatched(tensor, Tensor.IMAGE_ERROR, 1), Tensor.IMAGE_ERROR)
        warnings = decode_texts(_unbatched(tensor, Tensor.IMAGE_WARNING, 1), Tensor.IMAGE_WARNING)
        source_sizes = _unbatched(tensor, Tensor.SOURCE_SIZE, 2)
        (options,) = _unbatched(tensor, Tensor.CHECKED_OPTIONS, 1)[:1].tolist() or [b""]
        count = len(tasks)
        if not 1 <= count <= MAX_IMAGES:
            raise InvalidArgument(f"{Tensor.TASKS}: {count} images, 1 to {MAX_IMAGES} are taken")
        if patches.shape[1] != patch_bytes:
            raise InvalidArgument(f"{Tensor.PATCHES}: {patches.shape[1]} bytes a patch, the model has {patch_bytes}")
        if grids.shape != (count, 3) or source_sizes.shape != (count, 2) or {len(errors), len(warnings)} != {count}:
            raise InvalidArgument(
                f"{count} tasks do not go with grids {grids.shape}, sizes {source_sizes.shape}, "
                f"{len(errors)} errors, {len(warnings)} warnings"
            )
        _check_grids(grids, errors, len(patches), grid.merge_size)
        return cls(
            patches,
            grids,
            source_sizes,
            tasks=tuple(map(parse_task, tasks)),
            errors=tuple(errors),
            warnings=tuple(warnings),
            options=parse_options(options),
        )


@dataclass(frozen=True)
class Reading:
    """What became of one image: its text or its error, the tokens it took, and what of it was left out."""

    index: int
    text: str = ""
    finish_reason: FinishReason = FinishReason.ERROR
    num_input_tokens: int = 0
    num_output_tokens: int = 0
    error: str = ""
    warning: str = ""


def encode_readings(readings: Sequence[Reading]) -> Mapping[Tensor, Array]:
    """The output tensors of a request, [1, N] each, one element an image."""
    return {
        Tensor.TEXT: encode_texts([reading.text for reading in readings])[None],
        Tensor.FINISH_REASON: encode_texts([reading.finish_reason for reading in readings])[None],
        Tensor.NUM_INPUT_TOKENS: np.array([[reading.num_input_tokens for reading in readings]], np.int32),
        Tensor.NUM_OUTPUT_TOKENS: np.array([[reading.num_output_tokens for reading in readings]], np.int32),
        Tensor.ERROR: encode_texts([reading.error for reading in readings])[None],
        Tensor.WARNING: encode_texts([reading.warning for reading in readings])[None],
    }


def encode_delta(index: int, text: str) -> dict[Tensor, Array]:
    """A piece of an image's text, as `ocr_stream` sends it."""
    return {Tensor.INDEX: np.array([index], np.int32), Tensor.TEXT: encode_texts([text])}


def encode_done(reading: Reading) -> dict[Tensor, Array]:
    """The last response of an image, as `ocr_stream` sends it: its whole text, post-processed, and how it ended."""
    return {
        **encode_delta(reading.index, ""),
        Tensor.FULL_TEXT: encode_texts([reading.text]),
        Tensor.FINISH_REASON: encode_texts([reading.finish_reason]),
        Tensor.NUM_INPUT_TOKENS: np.array([reading.num_input_tokens], np.int32),
        Tensor.NUM_OUTPUT_TOKENS: np.array([reading.num_output_tokens], np.int32),
        Tensor.ERROR: encode_texts([reading.error]),
        Tensor.WARNING: encode_texts([reading.warning]),
    }


def encode_texts(texts: Sequence[str]) -> Array:
    """Texts as Triton's BYTES: an object array of UTF-8 bytes, [len(texts)]."""
    array = np.empty(len(texts), dtype=object)
    array[:] = [text.encode("utf-8") for text in texts]
    return array


def decode_texts(array: Array, name: Tensor) -> list[str]:
    """Texts from Triton's BYTES. Raises `InvalidArgument` where one is not UTF-8."""
    texts = []
    for index, value in enumerate(array.ravel().tolist()):
        try:
            texts.append(value.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidArgument(f"{name} {index}: not UTF-8 (byte {error.start})") from None
    return texts


def parse_task(text: str) -> Task:
    """The task of that name. Raises `InvalidArgument` with the names there are."""
    try:
        return Task(text)
    except ValueError:
        raise InvalidArgument(f"unknown task {text[:40]!r} (known: {', '.join(Task)})") from None


def _unbatched(tensor: Callable[[Tensor], Array], name: Tensor, dims: int) -> Array:
    array = tensor(name)
    if array.ndim != dims + 1 or array.shape[0] != 1:
        raise InvalidArgument(f"{name}: shape {list(array.shape)}, expected a leading 1 and {dims} dimensions")
    unbatched: Array = array[0]
    return unbatched


def _check_grids(grids: Array, errors: Sequence[str], num_patches: int, merge_size: int) -> None:
    """Grids must tile exactly the patches there are, or one caller's images would read past their own."""
    total = 0
    for index, ((frames, rows, columns), error) in enumerate(zip(grids.tolist(), errors, strict=True)):
        if error:
            if (frames, rows, columns) != (0, 0, 0):
                raise InvalidArgument(f"{Tensor.GRID_THW} {index}: a failed image has no grid")
            continue
        if frames != 1 or min(rows, columns) < merge_size or rows % merge_size or columns % merge_size:
            raise InvalidArgument(f"{Tensor.GRID_THW} {index}: {(frames, rows, columns)} is no grid of this model")
        total += rows * columns
    if total != num_patches:
        raise InvalidArgument(f"{Tensor.GRID_THW}: the grids have {total} patches, there are {num_patches}")
