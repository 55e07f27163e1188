"""What stands against serving an adapter: vLLM takes wrong shapes and serves garbage, and names that match nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors import safe_open

from ocrvl.adapters.folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterConfig,
    AdapterError,
    Header,
    read_config,
    read_headers,
)
from ocrvl.adapters.names import ADAPTABLE, canonical, is_adaptable, is_of_encoder

_DTYPES: Final = frozenset({"BF16", "F16", "F32"})
_PROBLEMS_TOLD: Final = 8
_PEFT: Final = "base_model.model."
_KEPT_BASE: Final = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
"""Ways to begin that leave the base model's weights as they are."""


@dataclass(frozen=True)
class Adapter:
    """An adapter that fits its checkpoint: its folder, its largest rank, its modules' canonical names."""

    folder: Path
    rank: int
    modules: frozenset[str]

    @property
    def changes_encoder(self) -> bool:
        """Whether it changes the vision encoder or the projector."""
        return any(map(is_of_encoder, self.modules))


def check_adapter(folder: Path, shapes: Mapping[str, tuple[int, ...]], max_rank: int | None = None) -> Adapter:
    """The adapter of a folder in peft's form, which fits weights of these `shapes` (`folder.weight_shapes`).

    Raises `AdapterError` with what is wrong, a line each.
    """
    config = read_config(folder)
    problems = [f"{folder / CONFIG_FILE}: {problem}" for problem in _problems_of_config(config, max_rank)]
    path = folder / WEIGHTS_FILE
    headers = read_headers(path)
    pairs: dict[str, dict[str, Header]] = {}
    for key, header in sorted(headers.items()):
        if problem := _sort(key, header, pairs):
            problems.append(f"{path}: {key}: {problem}")
    for module, pair in pairs.items():
        problems += [f"{path}: {problem}" for problem in _problems_of_pair(module, pair, config, shapes)]
    if not headers:
        problems.append(f"{path}: it has no tensors")
    if not problems:
        problems += [f"{path}: {key}: expected finite numbers" for key in _not_finite(path)]
    _raise(problems)
    names = frozenset(canonical(module) for module in pairs)
    return Adapter(folder, max(pair["lora_A"].shape[0] for pair in pairs.values()), names)


def _raise(problems: list[str]) -> None:
    if problems:
        more = [f"and {len(problems) - _PROBLEMS_TOLD} more"] if len(problems) > _PROBLEMS_TOLD else []
        raise AdapterError("\n".join(problems[:_PROBLEMS_TOLD] + more))


def _problems_of_config(config: AdapterConfig, max_rank: int | None) -> Iterator[str]:
    if config.peft_type.upper() != "LORA":
        yield f"peft_type: expected LORA, found {config.peft_type}"
    if config.use_dora:
        yield "use_dora: vLLM serves no DoRA adapters; merge it into a checkpoint"
    if config.bias != "none" or config.lora_bias:
        yield "bias: adapters with biases cannot be served"
    if config.modules_to_save:
        yield f"modules_to_save: {', '.join(config.modules_to_save)}: whole modules cannot be served beside the base"
    if isinstance(config.init_lora_weights, str) and config.init_lora_weights.lower() not in _KEPT_BASE:
        yield f"init_lora_weights: {config.init_lora_weights} changed the base: convert it to plain LoRA with peft"
    if config.layer_replication:
        yield "layer_replication: adapters that add layers cannot be served"
    rank = max([config.r, *config.rank_pattern.values()])
    if max_rank is not None and rank > max_rank:
        yield f"r: rank {rank}, the engine takes {max_rank} at most (max_lora_rank)"


def _sort(key: str, header: Header, pairs: dict[str, dict[str, Header]]) -> str | None:
    """Put a tensor to its module's, as the adapter calls it; or say why it has no place."""
    module, _, part = key.removesuffix(".weight").rpartition(".")
    if part not in ("lora_A", "lora_B") or not key.endswith(".weight"):
        return "expected a key that ends in .lora_A.weight or .lora_B.weight"
    if header.dtype not in _DTYPES:
        return f"dtype {header.dtype}, expected one of {', '.join(sorted(_DTYPES))}"
    pairs.setdefault(module, {})[part] = header
    return None


def _problems_of_pair(
    module: str, pair: Mapping[str, Header], config: AdapterConfig, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    name = canonical(module)
    if name not in shapes:
        yield f"{module}: it matches no module of the checkpoint"
    elif not is_adaptable(name):
        yield f"{module}: unsupported module; adapters may change {ADAPTABLE}"
    elif len(pair) < 2:
        yield f"{module}: it has {next(iter(pair))} alone, expected lora_A and lora_B"
    else:
        rank = config.rank(module.removeprefix(_PEFT))
        outputs, inputs = shapes[name]
        for part, expected in (("lora_A", (rank, inputs)), ("lora_B", (outputs, rank))):
            if pair[part].shape != expected:
                yield f"{module}.{part}: shape {list(pair[part].shape)}, expected {list(expected)}"


def _not_finite(path: Path) -> list[str]:
    with safe_open(path, framework="pt") as file:
        return [key for key in file.keys() if not file.get_tensor(key).isfinite().all()]  # noqa: SIM118
