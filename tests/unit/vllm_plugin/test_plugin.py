"""`ocrvl.vllm_plugin`: the packed encoder against vLLM's own, image by image, on the embedded checkpoint."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from vllm import ModelRegistry
from vllm.config import set_current_vllm_config
from vllm.distributed import (
    cleanup_dist_env_and_memory,
    ensure_model_parallel_initialized,
    init_distributed_environment,
)
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader import get_model_loader
from vllm.model_executor.model_loader.utils import initialize_model, process_weights_after_loading
from vllm.model_executor.models.paddleocr_vl import PaddleOCRVLForConditionalGeneration
from vllm.utils.torch_utils import set_default_torch_dtype

from ocrvl import vllm_plugin as plugin
from ocrvl.checkpoint import resolve_checkpoint
from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import normalize_patches
from ocrvl.vllm_plugin.encoder_graphs import capture_graph
from ocrvl.vllm_plugin.encoder_layer import can_fuse_gelu
from ocrvl.vllm_plugin.model import PackedPaddleOCRVL
from ocrvl.vllm_plugin.packed import PackedEncoder, problems_of

CHECKPOINT = resolve_checkpoint("nano", Path())
GRID = PixelGrid.from_checkpoint(CHECKPOINT)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

BOUNDS = {torch.float32: 1e-5 if DEVICE.type == "cpu" else 1e-3, torch.bfloat16: 5e-2}
"""Rounding of the dtype, through the layers."""


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The model with its weights, as an engine's process has it."""
    plugin.register()
    config = EngineArgs(model=str(CHECKPOINT), dtype=request.param, enforce_eager=True).create_engine_config()
    rendezvous = tmp_path_factory.mktemp("rendezvous") / "file"
    with set_current_vllm_config(config):
        init_distributed_environment(1, 0, f"file://{rendezvous}", 0, "gloo" if DEVICE.type == "cpu" else "nccl")
        ensure_model_parallel_initialized(1, 1)
        with set_default_torch_dtype(config.model_config.dtype), DEVICE:
            model = initialize_model(vllm_config=config)
        get_model_loader(config.load_config).load_weights(model, config.model_config)
        process_weights_after_loading(model, config.model_config, DEVICE)
        yield model.eval()
    cleanup_dist_env_and_memory()


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    """As the engine runs its model."""
    with torch.inference_mode():
        yield


def images(seed: int, count: int) -> tuple[list[np.ndarray[Any, Any]], list[list[int]]]:
    """Random patches of random grids, some of them equal."""
    random = np.random.default_rng(seed)
    sides = random.integers(1, 13, (count, 2)) * GRID.merge_size
    grids = [[1, int(rows), int(columns)] for rows, columns in sides]
    return [random.integers(0, 256, (h * w, 588), dtype=np.uint8) for _, h, w in grids], grids


def tensor(values: np.ndarray[Any, Any]) -> torch.Tensor:
    """On the device of the model."""
    return torch.from_numpy(values).to(DEVICE)


def one_by_one(model: Any, patches: list[np.ndarray[Any, Any]], grids: list[list[int]]) -> list[torch.Tensor]:
    """What vLLM's own class makes of them."""
    values = [tensor(normalize_patches(image, GRID)) for image in patches]
    embed = PaddleOCRVLForConditionalGeneration.embed_multimodal
    return list(embed(model, pixel_values=values, image_grid_thw=torch.tensor(grids)))


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((ours.float() - theirs.float()).abs().max() / theirs.float().abs().max())


@pytest.mark.parametrize("seed", range(6))
def test_images_of_random_sizes_are_encoded_as_one_by_one(model: Any, seed: int) -> None:
    patches, grids = images(seed, count=seed * 3 + 1)
    ours = model.embed_multimodal(pixel_values=[tensor(image) for image in patches], image_grid_thw=torch.tensor(grids))
    theirs = one_by_one(model, patches, grids)
    assert [tuple(image.shape) for image in ours] == [tuple(image.shape) for image in theirs]
    assert {image.dtype for image in ours} == {model.visual.dtype}
    assert max(map(difference, ours, theirs)) < BOUNDS[model.visual.dtype]


def test_images_that_are_normalised_already_are_taken_too(model: Any) -> None:
    patches, grids = images(7, count=3)
    values = [tensor(normalize_patches(image, GRID)) for image in patches]
    ours = model.embed_multimodal(pixel_values=values, image_grid_thw=torch.tensor(grids))
    bytes_ = [tensor(image) for image in patches]
    theirs = model.embed_multimodal(pixel_values=bytes_, image_grid_thw=torch.tensor(grids))
    assert max(map(difference, ours, theirs)) < BOUNDS[model.visual.dtype]


def test_bytes_and_normalised_images_may_come_in_one_step(model: Any) -> None:
    patches, grids = images(9, count=3)
    bytes_ = [tensor(image) for image in patches]
    mixed = [bytes_[0], tensor(normalize_patches(patches[1], GRID)), bytes_[2]]
    ours = model.embed_multimodal(pixel_values=mixed, image_grid_thw=torch.tensor(grids))
    theirs = model.embed_multimodal(pixel_values=bytes_, image_grid_thw=torch.tensor(grids))
    assert max(map(difference, ours, theirs)) < BOUNDS[model.visual.dtype]


def test_images_of_one_size_may_come_as_one_tensor(model: Any) -> None:
    image = torch.randint(0, 256, (24, 588), dtype=torch.uint8, device=DEVICE)
    grids = torch.tensor([[1, 4, 6]] * 2)
    stacked = model.embed_multimodal(pixel_values=torch.stack([image, image]), image_grid_thw=grids)
    (alone,) = model.embed_multimodal(pixel_values=[image], image_grid_thw=grids[:1])
    assert len(stacked) == 2
    assert max(difference(one, alone) for one in stacked) < BOUNDS[model.visual.dtype]


def test_a_call_without_images_embeds_nothing(model: Any) -> None:
    assert model.embed_multimodal() == ()


def test_an_encoder_that_is_not_known_encodes_one_by_one(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    patches, grids = images(8, count=2)
    monkeypatch.setattr(model, "_packed", None)
    bytes_ = [tensor(image) for image in patches]
    ours = model.embed_multimodal(pixel_values=bytes_, image_grid_thw=torch.tensor(grids))
    assert max(map(difference, ours, one_by_one(model, patches, grids))) < BOUNDS[model.visual.dtype]


def test_what_differs_in_an_encoder_is_named(model: Any) -> None:
    vision = model.visual.vision_model
    assert problems_of(model.visual, model.mlp_AR) == []
    without_projector = problems_of(model.visual, SimpleNamespace(act=1, linear_1=1, linear_2=1, pre_norm=1))
    assert without_projector == ["no hidden_size in its projector"]
    other = SimpleNamespace(
        embeddings=vision.embeddings,
        encoder=SimpleNamespace(
            layers=vision.encoder.layers, rotary_pos_emb=SimpleNamespace(forward=lambda size: size)
        ),
        post_layernorm=vision.post_layernorm,
    )
    problems = problems_of(SimpleNamespace(vision_model=other), model.mlp_AR)
    assert problems == ["encoder.rotary_pos_emb.forward takes size"]
    assert len(problems_of(SimpleNamespace(), model.mlp_AR)) > 5


def test_grids_are_kept_and_the_least_used_go(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocrvl.vllm_plugin.packed._MAX_CACHED_PATCHES", 40)
    packed = PackedEncoder(model.visual.vision_model, model.mlp_AR, GRID.merge_size, model._normalization)

    def encode(rows: int, columns: int) -> None:
        packed([torch.zeros(rows * columns, 588, dtype=torch.uint8, device=DEVICE)], [[1, rows, columns]])

    encode(4, 4)
    kept = packed._grids[4, 4]
    encode(2, 6)
    encode(4, 4)
    assert packed._grids[4, 4] is kept
    encode(2, 8)
    assert list(packed._grids) == [(4, 4), (2, 8)]
    encode(10, 10)
    assert list(packed._grids) == [(10, 10)]


def test_a_vllm_without_the_classes_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # what importing it does where a class that it builds on is missing
    monkeypatch.setitem(sys.modules, "ocrvl.vllm_plugin.model", None)
    monkeypatch.setattr(ModelRegistry, "models", {})
    with caplog.at_level(logging.WARNING, "vllm.ocrvl"):
        plugin.register()
    assert not plugin.is_registered()
    assert ["this vLLM is not known" in message for message in caplog.messages] == [True]


def test_vllm_finds_the_plugin_by_its_name() -> None:
    (entry,) = entry_points(group="vllm.general_plugins", name=plugin.NAME)
    assert entry.load() is plugin.register
    plugin.register()
    assert plugin.is_registered()
    assert ModelRegistry.models[plugin.ARCHITECTURE].load_model_cls() is PackedPaddleOCRVL


def test_the_checkpoint_names_the_architecture() -> None:
    config = json.loads((CHECKPOINT / "config.json").read_text("utf-8"))
    assert config["architectures"] == [plugin.ARCHITECTURE]


@pytest.mark.parametrize("seed", range(4))
def test_images_in_buffers_of_a_budget_are_encoded_as_without_one(model: Any, seed: int) -> None:
    packed = PackedEncoder(model.visual.vision_model, model.mlp_AR, GRID.merge_size, model._normalization)
    patches, grids = images(seed, count=seed + 1)
    tensors = [tensor(image) for image in patches]
    alone = packed(tensors, grids)
    # on a CPU, and where attention asks the device for bounds, what a CUDA graph does, without one
    has_graphs = DEVICE.type == "cuda" and packed._needs_longest
    packed.capture(capture_graph if has_graphs else lambda encode, buffers: lambda: encode(buffers), [512, 1024])
    assert packed._graphs is not None
    for _ in range(2):
        # other images first, of which something is left in the buffers
        packed([torch.full((400, 588), 255, dtype=torch.uint8, device=DEVICE)], [[1, 20, 20]])
        buffered = packed(tensors, grids)
        assert max(map(difference, buffered, alone)) < BOUNDS[model.visual.dtype]


def test_gelu_is_in_the_product_on_a_gpu_alone(model: Any) -> None:
    mlp = model.visual.vision_model.encoder.layers[0].mlp
    assert can_fuse_gelu(mlp) is (DEVICE.type == "cuda" and model.visual.dtype == torch.bfloat16)
    quantized = SimpleNamespace(fc1=SimpleNamespace(weight=mlp.fc1.weight, bias=mlp.fc1.bias))
    assert not can_fuse_gelu(quantized)
