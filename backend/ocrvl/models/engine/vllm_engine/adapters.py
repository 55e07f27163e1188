"""The adapters of an engine: checked before it starts, and loaded before its first request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from ocrvl import vllm_plugin as plugin
from ocrvl.adapters.check import Adapter, check_adapter
from ocrvl.adapters.folder import AdapterError, weight_shapes
from ocrvl.engine_settings import EngineSettings
from ocrvl.options import Options, check_adapters
from ocrvl.wire import Task

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.async_llm import AsyncLLM

_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True)
class LoadedAdapters:
    """The adapters that an engine has loaded, by their names."""

    requests: Mapping[str, LoRARequest]

    @classmethod
    async def load(cls, llm: AsyncLLM, settings: EngineSettings) -> LoadedAdapters:
        """Have them loaded; later nothing is read from their folders. Raises what vLLM raises."""
        from vllm.lora.request import LoRARequest

        requests = {
            name: LoRARequest(name, number, str(folder))
            for number, (name, folder) in enumerate(settings.adapters.items(), start=1)
        }
        for request in requests.values():
            await llm.add_lora(request)
        return cls(requests)

    def find(self, options: Options, task: Task) -> LoRARequest | None:
        """What vLLM is to be asked with; None for no adapter. Raises `InvalidArgument` for one that is not loaded."""
        check_adapters(options.adapter, self.requests)
        name = options.adapter_for(task)
        return None if name is None else self.requests[name]


def adapter_arguments(settings: EngineSettings) -> dict[str, Any]:
    """The engine arguments that the adapters of `model.json` need; empty where there are none.

    Raises `ValueError` for an adapter that does not fit the checkpoint, or arguments that do not fit the adapters.
    """
    args = settings.engine_args
    if not settings.adapters:
        return {}
    if args.get("quantization"):
        raise ValueError(f"{settings.source}: adapters: expected weights that are not quantized")
    checked = _check(settings, args.get("max_lora_rank"))
    count = len(checked)
    return {
        "enable_lora": True,
        "max_loras": count,
        # all stay in memory: folders are read once
        "max_cpu_loras": max(count, int(args.get("max_loras", 0))),
        "max_lora_rank": _fitting_rank(max(adapter.rank for adapter in checked)),
        "enable_tower_connector_lora": any(adapter.changes_encoder for adapter in checked),
    }


def check_class(settings: EngineSettings) -> None:
    """Raises `ValueError` where there are adapters and vLLM's own class, which takes none; its plugins are loaded."""
    if settings.adapters and not plugin.is_registered():
        raise ValueError(f"{settings.source}: adapters: expected the packed encoder, vLLM's own class takes none")


def _check(settings: EngineSettings, max_rank: int | None) -> list[Adapter]:
    problems, checked = [], []
    shapes = weight_shapes(settings.checkpoint)
    for name, folder in settings.adapters.items():
        try:
            checked.append(check_adapter(folder, shapes, max_rank))
        except AdapterError as error:
            problems += [f"{settings.source}: adapters.{name}: {line}" for line in str(error).splitlines()]
    if problems:
        raise ValueError("\n".join(problems))
    return checked


def _fitting_rank(rank: int) -> int:
    """The smallest that vLLM takes and that is large enough. Raises `ValueError` where none is."""
    from vllm.config import lora

    ranks = [one for one in get_args(getattr(lora, "MaxLoRARanks", None)) if one >= 8] or _RANKS
    fitting = [one for one in ranks if one >= rank]
    if not fitting:
        raise ValueError(f"adapters: rank {rank}, vLLM takes {max(ranks)} at most")
    return min(fitting)
