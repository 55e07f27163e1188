"""The steps of a burst after its first, on the device: each from the token before to the next.

All state is where vLLM's own steps have it: its buffers for inputs, its tables of blocks, its requests' state. What a
step of vLLM's reads there, an inner step leaves as a step of vLLM's would have, so that either may follow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from vllm.config.compilation import CUDAGraphMode
from vllm.forward_context import set_forward_context
from vllm.v1.worker.gpu.attn_utils import build_slot_mappings_by_layer
from vllm.v1.worker.gpu.input_batch import InputBatch

Step = Callable[[], None]
Record = Callable[[Step], Step]
"""Makes of a step what does it again, with whatever its buffers then hold."""

_LOG: Final = logging.getLogger("vllm.ocrvl")
_PADDING: Final = -1
"""The index of a request for what fills a graph's batch up: vLLM's kernels leave the state of such alone."""


class InnerSteps:
    """Of one model runner (`ocrvl.vllm_plugin.bursts.runner`), once it has its cache of keys and values."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        count, device = runner.max_num_reqs, runner.device
        self._requests = torch.full((count,), _PADDING, dtype=torch.int64, device=device)
        self._last = torch.zeros(count, dtype=torch.int64, device=device)
        self._ones = torch.ones(count, dtype=torch.int32, device=device)
        self._none = torch.zeros(count, dtype=torch.int32, device=device)
        self._recorded: dict[int, Step] = {}

    def run(self, batch: Any, first: torch.Tensor, steps: int, full_graph: Any) -> torch.Tensor:
        """The tokens int64 [requests, steps] of a burst whose first step gave `first` [requests].

        The state of requests is that before `first` was taken in, and afterwards that before the last one is.
        `full_graph` describes the graph of vLLM's that ran the first step, if one did.
        """
        count = batch.num_reqs
        size = next((size for size in self._recorded if size >= count), None)
        padded = size or (batch.num_tokens_after_padding if full_graph else count)
        self._requests[:count].copy_(batch.idx_mapping)
        self._requests[count:padded].fill_(_PADDING)
        self._last[:count].copy_(first)
        # not kept: it is copied to the host while the next burst runs
        tokens = first.new_empty(count, steps)
        tokens[:, 0].copy_(first)
        for step in range(1, steps):
            if size is None:
                self._launch(batch, padded, full_graph)
            else:
                self._recorded[size]()
            tokens[:, step].copy_(self._last[:count])
        return tokens

    @torch.inference_mode()
    def record(self, sizes: Iterable[int], record: Record) -> None:
        """Have a whole step recorded for each of these numbers of requests, if attention's plan allows it.

        What goes wrong is said once; steps are then launched in parts, of which vLLM's graph of the decoder is one.
        """
        groups = self._groups()
        if not all(_can_refresh(group) for group in groups):
            names = {group.backend.get_name() for group in groups}
            _LOG.info("inner steps of bursts are launched in parts: attention is %s", ", ".join(sorted(names)))
            return
        recorded = {}
        try:
            # the largest first: the others find its memory in the pool
            for size in sorted(sizes, reverse=True):
                recorded[size] = record(self._whole(size))
        except Exception as error:
            _LOG.warning("inner steps of bursts are launched in parts, no graphs could be captured: %s", error)
            return
        self._recorded = dict(sorted(recorded.items()))
        _LOG.info("inner steps of bursts are graphs, for up to %s requests", max(recorded, default=0))

    def _launch(self, batch: Any, padded: int, full_graph: Any) -> None:
        """One step, its kernels launched one by one but for those of vLLM's graph."""
        runner = self._runner
        self._advance(padded)
        batch.seq_lens_cpu_upper_bound[: batch.num_reqs] += 1
        mode = CUDAGraphMode.FULL if full_graph else CUDAGraphMode.NONE
        slots = runner.block_tables.slot_mappings[:, :padded]
        tables = tuple(table[:padded] for table in runner.block_tables.input_block_tables)
        groups, config = runner.attn_groups, runner.kv_cache_config
        plan = runner.model_state.prepare_attn(batch, mode, tables, slots, groups, config)
        if full_graph:
            hidden = runner.cudagraph_manager.run_fullgraph(full_graph)
        else:
            hidden = self._forward(padded, plan, slots)
        self._choose(hidden, padded)

    def _whole(self, size: int) -> Step:
        """A step whose every input is on the device, which has run once with nothing but padding."""
        runner = self._runner
        batch = InputBatch.make_dummy(size, size, runner.input_buffers)
        tables = runner.block_tables.get_dummy_block_tables(size)
        slots = runner.block_tables.get_dummy_slot_mappings(size)
        groups, config = runner.attn_groups, runner.kv_cache_config

        def make_plan() -> Any:
            return runner.model_state.prepare_attn(
                batch, CUDAGraphMode.NONE, tables, slots, groups, config, for_capture=True
            )

        plan = make_plan()
        refresh = _refresh_of(self._groups(), plan) or make_plan

        def step() -> None:
            self._advance(size)
            self._choose(self._forward(size, refresh(), slots), size)

        # no request has a token: keys and values go nowhere
        self._requests.fill_(_PADDING)
        runner.input_buffers.query_start_loc.zero_()
        step()
        return step

    def _advance(self, padded: int) -> None:
        """Take the last tokens in, and make of them the inputs of the next step."""
        runner, buffers = self._runner, self._runner.input_buffers
        requests, last = self._requests[:padded], self._last[:padded]
        bounds = buffers.query_start_loc[: padded + 1]
        runner.take_in(requests, last[:, None], self._ones[:padded], self._none[:padded], bounds)
        is_real = requests >= 0
        buffers.input_ids[:padded].copy_(last)
        inputs = self._inputs(padded)
        for counter in (buffers.positions[:padded], buffers.seq_lens[:padded]):
            counter.add_(is_real)
        # those of M-RoPE are others
        if inputs["positions"].data_ptr() != buffers.positions.data_ptr():
            inputs["positions"].add_(is_real)
        if (embeddings := inputs.get("inputs_embeds")) is not None:
            embeddings.copy_(runner.model.embed_input_ids(buffers.input_ids[:padded]))
        runner.block_tables.compute_slot_mappings(requests, bounds, buffers.positions[:padded], padded)

    def _inputs(self, padded: int) -> dict[str, Any]:
        """What the model is called with, as vLLM calls it when it captures: views of buffers that stay."""
        buffers = self._runner.input_buffers
        return {
            "input_ids": buffers.input_ids[:padded],
            "positions": buffers.positions[:padded],
            "intermediate_tensors": None,
            **self._runner.model_state.prepare_dummy_inputs(padded, padded),
        }

    def _forward(self, padded: int, plan: Any, slots: torch.Tensor) -> torch.Tensor:
        runner = self._runner
        slots_by_layer = build_slot_mappings_by_layer(slots, runner.kv_cache_config)
        with set_forward_context(plan, runner.vllm_config, num_tokens=padded, slot_mapping=slots_by_layer):
            hidden: torch.Tensor = runner.model(**self._inputs(padded))
        return hidden

    def _choose(self, hidden: torch.Tensor, padded: int) -> None:
        """The likeliest word of each; of several that are equally likely the first, as vLLM's sampler has it."""
        logits = self._runner.model.compute_logits(hidden[:padded])
        self._last[:padded].copy_(logits.argmax(dim=-1))

    def _groups(self) -> list[Any]:
        return [group for groups in self._runner.attn_groups for group in groups]


def _can_refresh(group: Any) -> bool:
    """Whether attention's plan can be made anew by kernels alone, for the lengths that the device then has.

    VLLM 0.32 says it for drafts, which are steps of this kind; 0.24 does not ask, and of its backends this one can.
    """
    can = getattr(group, "supports_draft_decode_metadata_update", None)
    return group.backend.get_name() == "FLASH_ATTN" if can is None else bool(can)


def _refresh_of(groups: list[Any], plan: Any) -> Callable[[], Any] | None:
    """What makes this plan anew, where vLLM has it."""
    if not all(getattr(group, "supports_draft_decode_metadata_update", False) for group in groups):
        return None

    def refresh() -> Any:
        for group in groups:
            group.update_draft_decode_metadata(plan)
        return plan

    return refresh


def record_graph(step: Step) -> Step:
    """A CUDA graph of a step, in the memory pool that vLLM's own graphs share."""
    from vllm.platforms import current_platform

    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    pool = current_platform.get_global_graph_pool()
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        step()
    replay: Step = graph.replay
    return replay
