"""Files of weights, tensor by tensor: safetensors reads one at a time, but writes a file only from all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch


DTYPE_BYTES: Final[Mapping[str, int]] = {
    "F64": 8,
    "I64": 8,
    "F32": 4,
    "I32": 4,
    "BF16": 2,
    "F16": 2,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}
"""Dtypes of safetensors, and bytes of a number."""

_ALIGNMENT: Final = 8
_CHUNK: Final = 8 * 2**20
"""Bytes written at a time: what is written straight from a mapped file is not held."""


@dataclass(frozen=True)
class Entry:
    """One tensor of a file."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return DTYPE_BYTES[self.dtype] * prod(self.shape)


def read_entries(path: Path) -> dict[str, Entry]:
    """The tensors of a file by their names, without their numbers. Raises `OSError` or safetensors' own error."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return {name: Entry(one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}


class WeightWriter(AbstractContextManager["WeightWriter"]):
    """A file of safetensors whose tensors are known by name and shape, and are written in any order.

    On leaving its context it is on the disk. Raises `OSError`.
    """

    def __init__(self, path: Path, entries: Mapping[str, Entry]) -> None:
        header, self._offsets = _layout(entries)
        self._entries = entries
        self._start = len(header)
        self._file = path.open("wb")
        self._file.write(header)

    def write(self, name: str, tensor: torch.Tensor) -> None:
        """Write the numbers of a tensor on the host. Raises `ValueError` for another shape or size than is due."""
        import torch

        content = memoryview(tensor.contiguous().flatten().view(torch.uint8).numpy())
        if tuple(tensor.shape) != self._entries[name].shape or len(content) != self._entries[name].size:
            raise ValueError(f"{name}: {tuple(tensor.shape)} {tensor.dtype} is not {self._entries[name]}")
        self._file.seek(self._start + self._offsets[name])
        for start in range(0, len(content), _CHUNK):
            self._file.write(content[start : start + _CHUNK])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())


def file_size(entries: Mapping[str, Entry]) -> int:
    """Bytes of a file of these tensors."""
    return len(_layout(entries)[0]) + sum(entry.size for entry in entries.values())


def open_weights(path: Path) -> Any:
    """A file of weights to read tensors of, by `get_tensor`."""
    from safetensors import safe_open

    return safe_open(path, "pt")


def _layout(entries: Mapping[str, Entry]) -> tuple[bytes, dict[str, int]]:
    """The head of a file, and where each tensor begins after it: the widest numbers first, so all are aligned."""
    offsets, end = {}, 0
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name in _in_order(entries):
        entry = entries[name]
        offsets[name], end = end, end + entry.size
        header[name] = {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [offsets[name], end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, offsets


def _in_order(entries: Mapping[str, Entry]) -> Iterable[str]:
    return sorted(entries, key=lambda name: (-DTYPE_BYTES[entries[name].dtype], name))
