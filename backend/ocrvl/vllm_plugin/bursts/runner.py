"""The model runner's part of bursts: more steps where vLLM's Model Runner V2 samples the first one's tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ocrvl.vllm_plugin.bursts.inner_steps import InnerSteps, record_graph
from ocrvl.vllm_plugin.bursts.settings import BurstSettings

if TYPE_CHECKING:
    _Own = Any
else:
    _Own = object


class BurstModelRunner(_Own):
    """Mixed into a model runner of vLLM's, before it: it runs as many steps as the scheduler gave places for."""

    _steps = 1
    _full_graph: Any = None
    _inner: InnerSteps

    def initialize_kv_cache(self, *args: Any, **kwargs: Any) -> None:
        """VLLM's own; and it is known from now on which of its graphs ran a step."""
        super().initialize_kv_cache(*args, **kwargs)
        self._inner = InnerSteps(self)
        run = self.cudagraph_manager.run_fullgraph

        def run_fullgraph(desc: Any) -> Any:
            # the graphs for steps that only generate; others may have several tokens of a request
            self._full_graph = desc if desc.num_reqs == desc.num_tokens else None
            return run(desc)

        self.cudagraph_manager.run_fullgraph = run_fullgraph

    def capture_model(self, *args: Any, **kwargs: Any) -> Any:
        """VLLM's own graphs and those of inner steps; returns the bytes of the former."""
        taken = super().capture_model(*args, **kwargs)
        # some are captured for their size alone, and let go again
        graphs = {} if kwargs.get("profile_only") else self.cudagraph_manager.graphs
        sizes = {desc.num_tokens for desc in graphs if desc.num_reqs == desc.num_tokens}
        if sizes and BurstSettings.of(self.vllm_config).graphs:
            self._inner.record(sizes, record_graph)
        return taken

    def execute_model(self, scheduler_output: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the first step."""
        self._full_graph = None
        scheduler_output, self._steps = split_burst(scheduler_output)
        return super().execute_model(scheduler_output, *args, **kwargs)

    def sample(self, hidden_states: Any, input_batch: Any, grammar_output: Any) -> Any:
        """Sample the first step's tokens, and run the others: token ids int64 [requests, steps]."""
        output, num_sampled, num_rejected = super().sample(hidden_states, input_batch, grammar_output)
        if self._steps > 1:
            first = output.sampled_token_ids[:, 0]
            output.sampled_token_ids = self._inner.run(input_batch, first, self._steps, self._full_graph)
            num_sampled = num_sampled * self._steps
        return output, num_sampled, num_rejected

    def postprocess_sampled(
        self,
        idx_mapping: Any,
        sampled_tokens: Any,
        num_sampled: Any,
        num_rejected: Any,
        query_start_loc: Any = None,
    ) -> None:
        """Take sampled tokens in: of a burst the last, since inner steps have taken in those before."""
        if self._steps > 1:
            sampled_tokens, num_sampled = sampled_tokens[:, -1:], num_sampled.clamp(max=1)
        super().postprocess_sampled(idx_mapping, sampled_tokens, num_sampled, num_rejected, query_start_loc)

    def take_in(self, *sampled: Any) -> None:
        """VLLM's own, of the tokens of one step."""
        super().postprocess_sampled(*sampled)


def make_bursting(own: Any) -> Any:
    """A subclass of a model runner of vLLM's with bursts."""
    return type(own.__name__, (BurstModelRunner, own), {})


def split_burst(scheduler_output: Any) -> tuple[Any, int]:
    """The first step of what a scheduler gave out, and how many steps there are.

    No more than every request has places for: where one has a single place, or a part of its prompt, it is one step.
    """
    drafts = scheduler_output.scheduled_spec_decode_tokens
    if not drafts:
        return scheduler_output, 1
    places = scheduler_output.num_scheduled_tokens
    firsts = {request: count - len(drafts.get(request, ())) for request, count in places.items()}
    steps = min(places.values()) if all(count == 1 for count in firsts.values()) else 1
    first = replace(
        scheduler_output,
        num_scheduled_tokens=firsts,
        total_num_scheduled_tokens=sum(firsts.values()),
        scheduled_spec_decode_tokens={},
    )
    return first, steps
