"""A checkpoint of PaddleOCR-VL to a quantised one in a new folder: checked, planned, and only then written."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ocrvl.quantization.card import write_card
from ocrvl.quantization.layers import LayerChoice, Parts
from ocrvl.quantization.schemes import FORMATS, Scheme, quantization_config, stored_tensors
from ocrvl.quantization.weights import Entry, WeightWriter, file_size, open_weights, read_entries

CONFIG: Final = "config.json"
_INDEX: Final = "model.safetensors.index.json"
_ARCHITECTURE: Final = "PaddleOCRVLForConditionalGeneration"
_FLOATING: Final = {"F32", "BF16", "F16"}
_NOT_COPIED: Final = (".safetensors", ".bin", ".pdparams", ".onnx", ".pt", ".pth", ".gguf")
_SPARE: Final = 2**20
"""Bytes for a card, a configuration and an index."""

Progress = Callable[[int, int], None]
"""Called with the bytes of the source that are done, and all of them."""


class QuantizationRefused(ValueError):
    """What cannot be quantised; the message says what to change."""


@dataclass(frozen=True)
class QuantizationPlan:
    """What becomes of a checkpoint. `files` are its files of weights with the tensors that each holds.

    Raises `QuantizationRefused`.
    """

    source: Path
    scheme: Scheme
    parts: Parts
    config: dict[str, Any]
    files: dict[str, dict[str, Entry]]
    layers: LayerChoice

    @classmethod
    def of(cls, source: Path, scheme: Scheme, parts: Parts) -> QuantizationPlan:
        """Look at a checkpoint's folder, without its numbers."""
        config = _read_config(source)
        files = {path.name: _read_file(path) for path in _weight_files(source)}
        entries = {name: entry for file in files.values() for name, entry in file.items()}
        _refuse_quantized(source, entries)
        shapes = {name: entry.shape for name, entry in entries.items() if entry.dtype in _FLOATING}
        layers = LayerChoice.of(shapes, parts, FORMATS[scheme].multiple)
        if not layers.quantized:
            reasons = "; ".join(layers.left_out) or f"no layers of the text model by names that are known in {source}"
            raise QuantizationRefused(f"SOURCE: no layer can be quantised: {reasons}")
        return cls(source, scheme, parts, config, files, layers)

    @property
    def linear_bytes(self) -> tuple[int, int]:
        """Bytes of the layers that are quantised, before and after, scales included."""
        weights = [
            entry for file in self.files.values() for name, entry in file.items() if name in self.layers.quantized
        ]
        return sum(entry.size for entry in weights), sum(
            one.size for entry in weights for one in self._stored(entry).values()
        )

    @property
    def total_bytes(self) -> tuple[int, int]:
        """Bytes of all weights, before and after."""
        before = sum(entry.size for file in self.files.values() for entry in file.values())
        after = sum(entry.size for file in self.files for entry in self.stored_entries(file).values())
        return before, after

    def stored_entries(self, file: str) -> dict[str, Entry]:
        """The tensors that are written for those of a file."""
        stored: dict[str, Entry] = {}
        for name, entry in self.files[file].items():
            if name in self.layers.quantized:
                layer = name.removesuffix("weight")
                stored.update({f"{layer}{last}": one for last, one in self._stored(entry).items()})
            else:
                stored[name] = entry
        return stored

    def _stored(self, entry: Entry) -> dict[str, Entry]:
        rows, width = entry.shape
        return {
            last: Entry(dtype, shape)
            for last, (dtype, shape) in stored_tensors(self.scheme, (rows, width), entry.dtype).items()
        }

    @property
    def copied(self) -> list[Path]:
        """The other files: tokenizer, processor, template. The card is written anew."""
        left = {CONFIG, _INDEX, "README.md"}
        files = sorted(path for path in self.source.iterdir() if path.is_file())
        return [
            path for path in files if path.name not in left and path.suffix not in _NOT_COPIED and path.name[0] != "."
        ]


def quantize_checkpoint(plan: QuantizationPlan, target: Path, on_progress: Progress = lambda _done, _all: None) -> None:
    """Write the quantised checkpoint to a folder that does not exist yet.

    One weight at a time is held. It is written beside its place and renamed, its configuration last: what is
    interrupted is no checkpoint. Raises `QuantizationRefused` before anything is written, `OSError`.
    """
    _check_target(plan, target)
    with _renamed(target) as folder:
        index, done, whole = {}, 0, plan.total_bytes[0]
        for file in plan.files:
            stored = plan.stored_entries(file)
            index.update(dict.fromkeys(stored, file))
            with open_weights(plan.source / file) as weights, WeightWriter(folder / file, stored) as writer:
                for name, entry in plan.files[file].items():
                    _write_tensor(plan, writer, name, weights.get_tensor(name))
                    done += entry.size
                    on_progress(done, whole)
        if len(plan.files) > 1:
            total = plan.total_bytes[1]
            _write_json(folder / _INDEX, {"metadata": {"total_size": total}, "weight_map": index})
        for path in plan.copied:
            shutil.copyfile(path, folder / path.name)
        write_card(folder / "README.md", plan.source.name, plan.scheme, plan.parts, plan.total_bytes, plan.linear_bytes)
        ignored = list(plan.layers.ignored)
        _write_json(folder / CONFIG, {**plan.config, "quantization_config": quantization_config(plan.scheme, ignored)})


def _write_tensor(plan: QuantizationPlan, writer: WeightWriter, name: str, tensor: Any) -> None:
    if name not in plan.layers.quantized:
        writer.write(name, tensor)
        return
    from ocrvl.quantization.arithmetic import quantize_weight

    layer = name.removesuffix("weight")
    for last, one in quantize_weight(tensor, plan.scheme).items():
        writer.write(f"{layer}{last}", one)


def _read_config(source: Path) -> dict[str, Any]:
    path = source / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise QuantizationRefused(f"SOURCE: {path} cannot be read: {error}") from None
    found = config.get("architectures") if isinstance(config, dict) else None
    if not isinstance(found, list) or _ARCHITECTURE not in found:
        raise QuantizationRefused(f"SOURCE: expected a checkpoint of {_ARCHITECTURE}, {path} has architectures {found}")
    if "quantization_config" in config:
        method = config["quantization_config"]
        method = method.get("quant_method") if isinstance(method, dict) else method
        raise QuantizationRefused(f"SOURCE: {source} is quantised already ({method}): name the one it was made from")
    return config


def _weight_files(source: Path) -> list[Path]:
    index = source / _INDEX
    if index.is_file():
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
            paths = [source / str(name) for name in sorted(names)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise QuantizationRefused(f"SOURCE: {index} cannot be read: {error!r}") from None
        if any(path.parent != source for path in paths):
            raise QuantizationRefused(f"SOURCE: {index} names files of other folders")
    else:
        paths = sorted(source.glob("*.safetensors"))
    if not paths or (missing := [path.name for path in paths if not path.is_file()]):
        what = ", ".join(missing) if paths else "*.safetensors"
        raise QuantizationRefused(f"SOURCE: {source} has no {what}: download it again")
    return paths


def _read_file(path: Path) -> dict[str, Entry]:
    try:
        return read_entries(path)
    except Exception as error:
        # safetensors' own error class is none of OSError's
        raise QuantizationRefused(f"SOURCE: {path} cannot be read, download it again: {error}") from None


def _refuse_quantized(source: Path, entries: dict[str, Entry]) -> None:
    found = [name for name, entry in entries.items() if entry.dtype.startswith(("F8", "I8", "U8", "I32"))]
    if found:
        raise QuantizationRefused(
            f"SOURCE: {source} is quantised already, {found[0]} is {entries[found[0]].dtype}: "
            "name the one it was made from"
        )


def _check_target(plan: QuantizationPlan, target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise QuantizationRefused(f"TARGET: {target} exists: name a folder that does not")
    if not target.absolute().parent.is_dir():
        raise QuantizationRefused(f"TARGET: {target.absolute().parent} is not a folder")
    needed = sum(file_size(plan.stored_entries(file)) for file in plan.files) + _SPARE
    needed += sum(path.stat().st_size for path in plan.copied)
    free = shutil.disk_usage(target.absolute().parent).free
    if needed > free:
        raise QuantizationRefused(
            f"TARGET: {target.absolute().parent} has {free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB are needed"
        )


@contextmanager
def _renamed(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, which becomes it at the end, and is removed where that is not reached."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.absolute().parent))
    try:
        yield folder
        folder.chmod(0o755)
        # refuses a folder that has come meanwhile, unless it is empty
        os.rename(folder, target)  # noqa: PTH104 - Path's replaces
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
