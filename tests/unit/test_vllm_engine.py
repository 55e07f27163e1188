"""`ocrvl.engine.vllm_engine`: the places where versions of vLLM differ, on the version that is installed."""

from __future__ import annotations

import pytest
import vllm.envs
from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.utils.import_utils import resolve_obj_by_qualname
from vllm.v1.executor import Executor

from ocrvl.engine import vllm_engine
from ocrvl.errors import Cancelled, InvalidArgument, Unavailable
from ocrvl.wire import FinishReason


def test_vllm_knows_every_variable_that_is_set_for_it() -> None:
    ours = {name for name in vllm_engine._ENVIRONMENT if name.startswith("VLLM_")}
    assert ours <= set(vllm.envs.environment_variables)


def test_the_model_s_class_says_how_its_tensors_are_batched() -> None:
    assert set(vllm_engine._picture_fields()) == {"pixel_values", "image_grid_thw"}


@pytest.mark.parametrize("reason", ["stop", "length", "repetition"])
def test_reasons_keep_their_names(reason: str) -> None:
    assert vllm_engine._finish_reason(reason) == FinishReason(reason)


@pytest.mark.parametrize(("reason", "expected"), [("abort", Cancelled), ("error", Unavailable), (None, Unavailable)])
def test_reasons_that_mean_no_result_are_errors(reason: str | None, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        vllm_engine._finish_reason(reason)


def test_what_vllm_refuses_is_the_caller_s_to_change() -> None:
    with pytest.raises(Exception, match="structured outputs") as caught:
        SamplingParams(structured_outputs=StructuredOutputsParams(json={}, regex="a"))
    assert type(vllm_engine._translate(caught.value)) is InvalidArgument


def test_a_dead_engine_is_unavailable_and_what_is_not_foreseen_is_left_to_the_edge() -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    assert type(vllm_engine._translate(EngineDeadError())) is Unavailable
    assert vllm_engine._translate(ZeroDivisionError("x")) is None


def test_one_rank_on_a_cpu_has_no_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_CPU_OMP_THREADS_BIND", raising=False)
    path = vllm_engine._executor_on_a_cpu({})["distributed_executor_backend"]
    assert issubclass(resolve_obj_by_qualname(path), Executor)
    assert vllm_engine._executor_on_a_cpu({"tensor_parallel_size": 2}) == {}
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0-1")
    assert vllm_engine._executor_on_a_cpu({}) == {}
