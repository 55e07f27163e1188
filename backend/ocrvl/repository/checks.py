"""What a checkpoint allows: over how many devices its layers can be split, and how long a sequence may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ocrvl.checkpoint import NANO, resolve_checkpoint
from ocrvl.repository.options import OptionRefused

_CONFIG: Final = "config.json"

_SPLIT: Final = {
    "text_config.num_attention_heads": "attention heads of the text model",
    "text_config.intermediate_size": "channels between the text model's layers",
    "vision_config.num_attention_heads": "attention heads of the vision encoder",
    "vision_config.intermediate_size": "channels between the vision encoder's layers",
}
"""What vLLM splits evenly over the ranks: `LlamaAttention` and `LlamaMLP` of the text model, `SiglipAttention` in
`paddleocr_vl.py` and `SiglipMLP` of the vision encoder. The projector between them is whole on every rank."""

_KV_HEADS: Final = "text_config.num_key_value_heads"
_VOCABULARY: Final = "text_config.vocab_size"
_LENGTH: Final = "text_config.max_position_embeddings"

_MOST_RANKS: Final = 16

_VOCABULARY_PADDING: Final = 64
"""VLLM pads the vocabulary to a multiple of this, then splits it (`DEFAULT_VOCAB_PADDING_SIZE`)."""


@dataclass(frozen=True)
class CheckpointShape:
    """Numbers of a checkpoint's `config.json`, by their dotted names.

    One that the file leaves to its class's default is absent, and what depends on it is checked by vLLM at start.
    """

    numbers: Mapping[str, int]

    @classmethod
    def from_file(cls, path: Path) -> CheckpointShape:
        """Read a `config.json`. Raises `OptionRefused` that names the file, and the key where one is wrong."""
        try:
            config = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise OptionRefused(f"--checkpoint: {path} cannot be read: {error}") from None
        numbers = {}
        for name in (*_SPLIT, _KV_HEADS, _VOCABULARY, _LENGTH):
            value = _look_up(config, name)
            if value is None:
                continue
            if not isinstance(value, int) or value < 1:
                raise OptionRefused(f"--checkpoint: {path}: {name}: {value!r} is not a number above 0")
            numbers[name] = value
        return cls(MappingProxyType(numbers))

    @property
    def max_length(self) -> int | None:
        """Tokens of the longest sequence that has positions."""
        return self.numbers.get(_LENGTH)

    @property
    def kv_heads(self) -> int | None:
        """Key-value heads of the text model; more ranks than these hold copies of them."""
        return self.numbers.get(_KV_HEADS)

    @property
    def tensor_sizes(self) -> list[int]:
        """The numbers of ranks over which this checkpoint can be split, up to those of one large host."""
        most = min(_MOST_RANKS, self.numbers.get("text_config.num_attention_heads", _MOST_RANKS))
        return [size for size in range(1, most + 1) if self.why_not(size) is None]

    def why_not(self, size: int) -> str | None:
        """Why this checkpoint cannot be split over `size` ranks; None where it can."""
        for name, what in _SPLIT.items():
            if name in self.numbers and self.numbers[name] % size:
                return f"{size} does not divide the {self.numbers[name]} {what} ({name})"
        kv_heads = self.kv_heads
        if kv_heads and kv_heads % size and size % kv_heads:
            return (
                f"{size} and the {kv_heads} key-value heads of the text model ({_KV_HEADS}): neither divides the other"
            )
        vocabulary = self.numbers.get(_VOCABULARY, 0)
        padded = -(-vocabulary // _VOCABULARY_PADDING) * _VOCABULARY_PADDING
        if padded % size:
            return f"{size} does not divide the {padded} entries of the padded vocabulary ({_VOCABULARY}: {vocabulary})"
        return None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as an engine's settings name it, wherever they lie; `shape` is None for one not yet downloaded."""

    name: str
    shape: CheckpointShape | None

    @classmethod
    def find(cls, name: str, base: Path) -> Checkpoint:
        """Look for `nano`, a folder (relative ones under `base`) or a hub id, without a download.

        Raises `OptionRefused`.
        """
        if _is_hub_id(name, base):
            cached = _cached_config(name)
            return cls(name, CheckpointShape.from_file(cached) if cached else None)
        try:
            folder = resolve_checkpoint(name, base)
        except FileNotFoundError as error:
            raise OptionRefused(f"--checkpoint: {error}") from None
        # a relative folder would be looked for beside the settings, not where the command was run
        return cls(name if name == NANO else str(folder.resolve()), CheckpointShape.from_file(folder / _CONFIG))


def _is_hub_id(name: str, base: Path) -> bool:
    is_local = name == NANO or (base / Path(name).expanduser()).is_dir()
    return not is_local and name.count("/") == 1 and not name.startswith((".", "/", "~"))


def _cached_config(hub_id: str) -> Path | None:
    """The `config.json` of a hub id in the hub's cache on this machine."""
    if find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(hub_id, _CONFIG)
    except HFValidationError as error:
        raise OptionRefused(f"--checkpoint: {error}") from None
    return Path(found) if isinstance(found, str) else None


def _look_up(config: Any, name: str) -> Any:
    """A value by its dotted name; the text model's stand at the top in the first releases of PaddleOCR-VL."""
    section, _, key = name.partition(".")
    if not isinstance(config, dict):
        return None
    values = config.get(section, config if section == "text_config" else {})
    return values.get(key) if isinstance(values, dict) else None
