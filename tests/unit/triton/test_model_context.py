"""`ocrvl.triton.context`: what a model makes of what Triton tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ocrvl.triton.context import ModelContext


def arguments(kind: str, device: int, gpus: list[int]) -> dict[str, str]:
    """As Triton 2.51 and the engine's model have them; instances on several GPUs have one name."""
    config = {
        "name": "paddleocr_vl",
        "max_batch_size": 1,
        "parameters": {"stall_seconds": {"string_value": "60"}},
        "instance_group": [{"kind": f"KIND_{kind}", "count": 1, "gpus": gpus}],
    }
    return {
        "model_config": json.dumps(config),
        "model_repository": "/srv/ocr/paddleocr_vl",
        "model_version": "1",
        "model_instance_name": "paddleocr_vl_0_0",
        "model_instance_kind": kind,
        "model_instance_device_id": str(device),
    }


def test_instances_on_several_gpus_are_told_apart() -> None:
    """By this name go an engine's socket, its series of metrics and its lines in the log."""
    first, second = (ModelContext.from_args(arguments("GPU", device, [0, 1])) for device in (0, 1))
    assert (first.replica, second.replica) == ("paddleocr_vl_0_0_gpu0", "paddleocr_vl_0_0_gpu1")
    assert (first.device, second.device, first.replicas) == (0, 1, 2)


@pytest.mark.parametrize("kind", ["CPU", "MODEL"])
def test_elsewhere_triton_s_name_does(kind: str) -> None:
    context = ModelContext.from_args(arguments(kind, 0, []))
    assert (context.replica, context.replicas) == ("paddleocr_vl_0_0", 1)
    assert context.folder == Path("/srv/ocr/paddleocr_vl")
    assert context.parameters == {"stall_seconds": "60"}
