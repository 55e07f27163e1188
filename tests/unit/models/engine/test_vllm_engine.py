"""`ocrvl.models.engine.vllm_engine`: the places where versions of vLLM differ, on the version that is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType, SimpleNamespace

import pytest
import vllm.envs
import vllm.third_party
from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.utils.import_utils import resolve_obj_by_qualname
from vllm.v1.executor import Executor

from ocrvl import vllm_plugin as plugin
from ocrvl.errors import Cancelled, InvalidArgument, Unavailable
from ocrvl.models.engine.vllm_engine import arguments, inputs, memory, outcomes
from ocrvl.models.engine.vllm_engine.memory import DeviceMemory
from ocrvl.vllm_plugin.scheduler import SCHEDULER, make_scheduler
from ocrvl.wire import FinishReason


def test_vllm_knows_every_variable_that_is_set_for_it() -> None:
    ours = {name for name in arguments.ENVIRONMENT if name.startswith("VLLM_")}
    assert ours <= set(vllm.envs.environment_variables)


def test_the_model_s_class_says_how_its_tensors_are_batched() -> None:
    assert set(inputs.image_fields()) == {"pixel_values", "image_grid_thw"}


@pytest.mark.parametrize("reason", ["stop", "length", "repetition"])
def test_reasons_keep_their_names(reason: str) -> None:
    assert outcomes.finish_reason(reason) == FinishReason(reason)


@pytest.mark.parametrize(("reason", "expected"), [("abort", Cancelled), ("error", Unavailable), (None, Unavailable)])
def test_reasons_that_mean_no_result_are_errors(reason: str | None, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        outcomes.finish_reason(reason)


def test_what_vllm_refuses_is_the_caller_s_to_change() -> None:
    with pytest.raises(Exception, match="structured outputs") as caught:
        SamplingParams(structured_outputs=StructuredOutputsParams(json={}, regex="a"))
    assert type(outcomes.translate_error(caught.value)) is InvalidArgument


def test_a_dead_engine_is_unavailable_and_what_is_not_foreseen_is_left_to_the_edge() -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    assert type(outcomes.translate_error(EngineDeadError())) is Unavailable
    assert outcomes.translate_error(ZeroDivisionError("x")) is None


@pytest.mark.on_a_cpu
def test_one_rank_on_a_cpu_has_no_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_CPU_OMP_THREADS_BIND", raising=False)
    path = arguments.default_executor({})["distributed_executor_backend"]
    assert issubclass(resolve_obj_by_qualname(path), Executor)
    assert arguments.default_executor({"tensor_parallel_size": 2}) == {}
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0-1")
    assert arguments.default_executor({}) == {}


@pytest.mark.parametrize(
    ("on_cpu", "is_packed", "scheduler"), [(False, True, SCHEDULER), (True, True, None), (False, False, None)]
)
def test_images_gather_on_a_gpu_that_reads_them_together(
    monkeypatch: pytest.MonkeyPatch, on_cpu: bool, is_packed: bool, scheduler: str | None
) -> None:
    monkeypatch.setattr(type(vllm.platforms.current_platform), "is_cpu", lambda _platform: on_cpu)
    monkeypatch.setattr(plugin, "is_registered", lambda: is_packed)
    assert arguments.default_scheduler() == scheduler


def test_vllm_finds_the_scheduler_by_its_name() -> None:
    assert resolve_obj_by_qualname(SCHEDULER) is make_scheduler


@pytest.fixture(autouse=True)
def _forget_the_library() -> Iterator[None]:
    """Which is opened once in a process."""
    memory._open_nvml.cache_clear()
    yield
    memory._open_nvml.cache_clear()


class Nvml(ModuleType):
    """NVIDIA's library on a machine with these devices, by UUID: each has 80 bytes, its number of them in use."""

    class NVMLError(Exception):
        pass

    def __init__(self, *uuids: str) -> None:
        super().__init__("pynvml")
        self.uuids = uuids
        self.opened = 0

    def nvmlInit(self) -> None:  # noqa: N802 - the library's names
        self.opened += 1
        if not self.uuids:
            raise self.NVMLError("no driver")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.uuids)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if not 0 <= index < len(self.uuids):
            raise self.NVMLError("no such device")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        return self.uuids.index(uuid)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=handle, total=80)


@pytest.mark.parametrize(
    ("visible", "used"),
    [
        (None, {"0": 0, "1": 1, "2": 2}),
        ("", {"0": 0, "1": 1, "2": 2}),
        ("2", {"2": 2}),
        ("2,0", {"2": 2, "0": 0}),
        ("GPU-bb", {"GPU-bb": 1}),
        ("GPU-cc,GPU-aa", {"GPU-cc": 2, "GPU-aa": 0}),
    ],
)
def test_the_memory_is_that_of_the_devices_that_the_process_may_use_by_the_names_it_knows_them_by(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, used: Mapping[str, int]
) -> None:
    nvml = Nvml("GPU-aa", "GPU-bb", "GPU-cc")
    monkeypatch.setattr(vllm.third_party, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert memory.gpu_memory() == {name: DeviceMemory(bytes_used, 80) for name, bytes_used in used.items()}


def test_there_is_no_memory_to_tell_of_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm.third_party, "pynvml", Nvml())
    assert memory.gpu_memory() == {}


@pytest.mark.parametrize("uuids", [("GPU-aa",), ()])
def test_the_library_is_looked_for_once(monkeypatch: pytest.MonkeyPatch, uuids: Sequence[str]) -> None:
    nvml = Nvml(*uuids)
    monkeypatch.setattr(vllm.third_party, "pynvml", nvml)
    assert memory.gpu_memory() == memory.gpu_memory()
    assert nvml.opened == 1
