"""`ocrvl.models.engine.devices`: which devices and cores an instance of Triton hands to its engine."""

from __future__ import annotations

import pytest

from ocrvl.models.engine.devices import device_environment

_DEVICES = "CUDA_VISIBLE_DEVICES"
_CORES = "VLLM_CPU_OMP_THREADS_BIND"


@pytest.mark.parametrize(
    ("kind", "device", "gpus", "visible", "wanted"),
    [
        ("GPU", 0, None, None, "0"),
        ("GPU", 3, None, None, "3"),
        ("GPU", 1, None, "4,5", "5"),
        ("GPU", 1, None, "4, 5", "5"),
        ("GPU", 1, None, "GPU-ab,GPU-cd", "GPU-cd"),
        ("GPU", 0, "2,3", None, "2,3"),
        ("MODEL", 0, "0,1", None, "0,1"),
        ("MODEL", 0, "1, 0", "6,7", "7,6"),
        ("MODEL", 0, None, "6,7", None),
        ("CPU", 0, None, None, None),
    ],
)
def test_an_engine_sees_the_devices_of_its_instance(
    kind: str, device: int, gpus: str | None, visible: str | None, wanted: str | None
) -> None:
    environ = {} if visible is None else {_DEVICES: visible}
    got = device_environment(kind, device, "paddleocr_vl_0_0", gpus, None, environ)
    assert got == ({} if wanted is None else {_DEVICES: wanted})


@pytest.mark.parametrize(
    ("kind", "replica", "cores", "wanted"),
    [
        ("CPU", "paddleocr_vl_0_0", "0-3|4-7", "0-3"),
        ("CPU", "paddleocr_vl_0_1", "0-3|4-7", "4-7"),
        ("CPU", "paddleocr_vl_0_1", "0-3", "0-3"),
        ("MODEL", "paddleocr_vl_0_0", "0-3|4-7", "0-3|4-7"),
        ("MODEL", "paddleocr_vl_0_0", "0,2,4", "0,2,4"),
    ],
)
def test_an_engine_has_the_cores_of_its_instance_or_all_of_the_only_one(
    kind: str, replica: str, cores: str, wanted: str
) -> None:
    assert device_environment(kind, 0, replica, None, cores, {}) == {_CORES: wanted}


@pytest.mark.parametrize(("device", "gpus"), [(2, None), (0, "0,2"), (0, "7")])
def test_a_device_that_does_not_exist_is_refused_by_its_number(device: int, gpus: str | None) -> None:
    with pytest.raises(ValueError, match=r"GPU \d not found: CUDA_VISIBLE_DEVICES=4,5 has 2 devices"):
        device_environment("GPU", device, "paddleocr_vl_0_gpu0", gpus, None, {_DEVICES: "4,5"})


def test_devices_that_have_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="first"):
        device_environment("GPU", 0, "paddleocr_vl_0_gpu0", "first", None, {})


def test_cores_of_an_engine_on_a_gpu_need_no_number_in_its_name() -> None:
    device_environment("GPU", 1, "paddleocr_vl_0_gpu1", None, "0-3", {})


def test_an_instance_without_cores_is_told_so() -> None:
    with pytest.raises(ValueError, match="cpu_cores"):
        device_environment("CPU", 0, "paddleocr_vl_0_2", None, "0-3|4-7", {})


@pytest.mark.parametrize(("gpus", "visible"), [("0,-1", "4,5"), ("0", "")])
def test_a_device_that_does_not_exist_is_refused(gpus: str, visible: str) -> None:
    with pytest.raises(ValueError, match="not found"):
        device_environment("MODEL", 0, "paddleocr_vl_0_0", gpus, None, {"CUDA_VISIBLE_DEVICES": visible})
