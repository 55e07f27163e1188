"""`ocrvl.messages`: patches and grids as a caller of `paddleocr_vl` may send them, without `preprocess`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import atheris
import numpy as np

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.grid import PixelGrid
from ocrvl.messages import PackedImages, decode_texts, encode_texts
from ocrvl.wire import MAX_IMAGES, Task, Tensor
from stress.fuzz.target import Target

GRID: Final = PixelGrid(14, 2, 3_136, 401_408, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_TASKS: Final = [*(task.encode() for task in Task), b"", b"OCR", b"\xff"]


def check(data: bytes) -> None:
    """Tensors are refused, or each image has exactly its own patches and they cover what came."""
    tensors = _tensors(atheris.FuzzedDataProvider(data))
    try:
        packed = PackedImages.decode_tensors(tensors.__getitem__, GRID)
    except InvalidArgument as error:
        assert str(error), "a refusal without a reason"
        return
    assert 1 <= len(packed) <= MAX_IMAGES
    covered = 0
    for image in packed.images():
        _, rows, columns = image.grid
        assert len(image.patches) == rows * columns > 0
        covered += len(image.patches)
    assert covered == len(packed.patches)
    for name, sent in packed.encode_tensors().items():
        if name in (Tensor.IMAGE_ERROR, Tensor.IMAGE_WARNING):
            assert decode_texts(sent, name) == decode_texts(tensors[name], name)


def _tensors(give: Any) -> dict[Tensor, Any]:
    """Tensors that mostly go together, with some of them out of shape."""
    count = give.ConsumeIntInRange(0, 4)
    grids = np.array([_grid(give) for _ in range(count)], np.int64).reshape(count, 3)
    total = int(np.clip(grids.astype(np.float64).prod(axis=1).sum(), 0, 64)) if count else 0
    patches = np.zeros((total + give.PickValueInList([0, 0, 0, 1, -1 if total else 0]), 588), np.uint8)
    texts: Callable[[Sequence[bytes]], Any] = lambda values: _bytes(values)[None]  # noqa: E731
    tensors = {
        Tensor.PATCHES: patches[None],
        Tensor.GRID_THW: grids[None],
        Tensor.SOURCE_SIZE: np.array(
            [[give.ConsumeInt(4), give.ConsumeInt(4)] for _ in range(count)], np.int32
        ).reshape(count, 2)[None],
        Tensor.TASKS: texts([give.PickValueInList(_TASKS) for _ in range(count)]),
        Tensor.IMAGE_ERROR: texts([give.ConsumeBytes(give.PickValueInList([0, 0, 3])) for _ in range(count)]),
        Tensor.IMAGE_WARNING: texts([give.ConsumeBytes(give.PickValueInList([0, 0, 3])) for _ in range(count)]),
        Tensor.CHECKED_OPTIONS: texts([give.ConsumeBytes(64)]),
    }
    if give.ConsumeBool():
        name = give.PickValueInList(list(tensors))
        array = tensors[name]
        tensors[name] = give.PickValueInList([array[0], array[None], array[:, :0], array[:0], array.repeat(2, axis=1)])
    return tensors


def _grid(give: Any) -> list[int]:
    if give.ConsumeBool():
        return [1, 2 * give.ConsumeIntInRange(0, 3), 2 * give.ConsumeIntInRange(0, 3)]
    return [give.PickValueInList([0, 1, 2, -1]), give.ConsumeInt(8), give.ConsumeInt(8)]


def _bytes(values: Sequence[bytes]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def seeds() -> Sequence[bytes]:
    """Bytes for the choices above; what they mean is the provider's business."""
    return [bytes(64), bytes(range(64)), b"\xff" * 64, b'{"raw": true}' + bytes(50), encode_texts(["ocr"])[0] * 20]


TARGET = Target(check, seeds, max_bytes=256)
