"""The scheduler's part of bursts: who gets how many places, and that vLLM does not count them as speculation.

A place beyond the first is what vLLM's schedulers know as a speculative token whose value the worker fills in: blocks
are allotted for it, asynchronous scheduling goes on as if it were generated, and what comes back may be fewer tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ocrvl.vllm_plugin.bursts.settings import BurstSettings

_ANY: Final = -1
"""What vLLM's own scheduler puts for a token that it does not know yet."""


if TYPE_CHECKING:
    _Own = Any
else:
    _Own = object


class BurstScheduler(_Own):
    """Mixed into a scheduler of vLLM's, before it: steps that only generate give each request several places."""

    burst_tokens = 1

    def add_request(self, request: Any) -> None:
        """Take a request in, and see once whether it can have bursts."""
        request.is_burstable = is_burstable(request)
        super().add_request(request)

    def schedule(self, throttle_prefills: bool = False) -> Any:
        """Give the next step out, of one or several places."""
        drafts = [_ANY] * (self._places(throttle_prefills) - 1)
        for request in self.running:
            request.spec_token_ids = drafts
        return super().schedule(throttle_prefills)

    def make_spec_decoding_stats(self, *_: Any, **__: Any) -> None:
        """None: what a burst brings is not speculation."""

    def _places(self, throttle_prefills: bool) -> int:
        """Places for each request in the next step: 1 where a prompt may begin or a request needs single steps."""
        running = self.running
        holds = throttle_prefills and not self.prefill_capacity_bound
        _, waiting = self.get_request_counts()
        may_begin = waiting and len(running) < self.max_num_running_reqs
        if not running or (may_begin and not holds):
            return 1
        if any(request.is_prefill_chunk or not request.is_burstable for request in running):
            return 1
        return self._affordable(self.burst_tokens)

    def _affordable(self, places: int) -> int:
        """As many of them as the longest text may have, and as all have room for: in the model and in the cache."""
        left = {request: tokens_left(request) for request in self.running}
        for request, tokens in left.items():
            if tokens <= 0:
                # vLLM sees this by itself after single steps; after more it allows for tokens not accepted
                request.next_decode_eligible_step = self.current_step + 2
        active = [request for request, tokens in left.items() if tokens > 0]
        if not active:
            return 1
        room = self.max_model_len - 1 - max(request.num_computed_tokens for request in active)
        places = min(places, max(left.values()), room, self.max_num_scheduled_tokens // len(active))
        blocks = -(-places // self.block_size) * len(active)
        return places if places > 1 and self.kv_cache_manager.block_pool.get_num_free_blocks() >= blocks else 1


def make_bursting(own: Any, settings: BurstSettings) -> Any:
    """A subclass of a scheduler of vLLM's with bursts."""
    return type(own.__name__, (BurstScheduler, own), {"burst_tokens": settings.tokens})


def tokens_left(request: Any) -> int:
    """Tokens that a request may have beyond those it has and those that pending steps bring."""
    left: int = request.max_tokens - request.num_output_tokens - request.num_output_placeholders
    return left


def is_burstable(request: Any) -> bool:
    """Whether a request's tokens are the likeliest words and nothing else, as inner steps choose them."""
    params = request.sampling_params
    return (
        params is not None
        and params.temperature == 0
        and params.repetition_penalty == 1
        and not (params.presence_penalty or params.frequency_penalty or params.min_tokens)
        and not (params.logit_bias or params.allowed_token_ids or params.bad_words or params.structured_outputs)
        and params.logprobs is None
        and params.prompt_logprobs is None
        and not getattr(params, "logprob_token_ids", None)
        and getattr(params, "thinking_token_budget", None) is None
        and not params.extra_args
        and not getattr(request, "resumable", False)
    )
