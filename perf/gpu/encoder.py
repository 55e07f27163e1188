"""The vision encoder alone: one by one, all images in one pass, and that in graphs and in FP8, on vLLM's device.

Milliseconds a call for several size classes and numbers of images, how far the results differ, and the share of the
device's measured matrix rate that the packed encoder reaches. Where there are graphs, images of random sizes
are held against a pass without them as well.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from rich.console import Console

from ocrvl import vllm_plugin as plugin
from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import normalize_patches
from ocrvl.vllm_plugin.encoder_graphs import capture_graph
from ocrvl.vllm_plugin.fp8 import Fp8EncoderLayer
from ocrvl.vllm_plugin.packed import PackedEncoder
from ocrvl.vllm_plugin.settings import EncoderGraphSettings, find_fp8_problem
from perf.figures.new import Output, keep
from perf.gpu.arithmetic import Shape, encoder_flops
from perf.gpu.encoder_figures import Fp8Result, Result, to_figures
from perf.gpu.gpu_time import profile_kernels
from perf.gpu.roofline import measure_matrix_rate
from perf.gpu.sizes import SIZES
from perf.gpu.stand_in import write_stand_in

_SIZES: Final = ("line", "receipt", "page")
_SPREAD: Final = 0.02
"""What such models' weights begin to be trained with."""


def main(
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint; a stand-in of real size if not given.")] = None,
    counts: Annotated[str, typer.Option(help="Numbers of images.")] = "1,4,16",
    repeat: Annotated[int, typer.Option(help="Measurements of each.")] = 10,
    output: Output = None,
) -> None:
    """Compare the packed encoder with vLLM's own."""
    from vllm.distributed import cleanup_dist_env_and_memory

    with tempfile.TemporaryDirectory(prefix="ocrvl-encoder-") as folder, torch.inference_mode():
        load_format = "auto" if checkpoint else "dummy"
        path = checkpoint or write_stand_in(Path(folder) / "stand-in")
        model = load_model(path, load_format, Path(folder) / "rendezvous")
        grid = PixelGrid.from_checkpoint(path)
        shape = Shape.from_config(json.loads((path / "config.json").read_text("utf-8")))
        peak = measure_matrix_rate()
        if checkpoint is None:
            _spread_weights(model)
        has_graphs = torch.cuda.is_available()
        fp8 = _make_fp8(model)
        for encoder in (model._packed, fp8) if has_graphs else ():
            if encoder:
                encoder.capture(capture_graph, EncoderGraphSettings().patches)
        results = [
            _compare(model, fp8, grid, shape, size, int(count), repeat)
            for size in _SIZES
            for count in counts.split(",")
        ]
        random_difference = _compare_random(model, grid) if has_graphs else None
        # left to the interpreter's end, NCCL waits for ever
        cleanup_dist_env_and_memory()
    figures = to_figures(results, peak, str(model.visual.dtype), random_difference, repeat)
    keep("encoder", figures, Console(width=140), output=output)


def load_model(checkpoint: Path, load_format: str, rendezvous: Path) -> Any:
    """The packed class with its weights, as an engine's process has it."""
    plugin.register()
    from vllm.config import set_current_vllm_config
    from vllm.distributed import ensure_model_parallel_initialized, init_distributed_environment
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader import get_model_loader
    from vllm.model_executor.model_loader.utils import initialize_model, process_weights_after_loading
    from vllm.utils.torch_utils import set_default_torch_dtype

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = EngineArgs(
        model=str(checkpoint), dtype="bfloat16", load_format=load_format, max_model_len=4096, enforce_eager=True
    ).create_engine_config()
    with set_current_vllm_config(config):
        backend = "nccl" if device.type == "cuda" else "gloo"
        init_distributed_environment(1, 0, f"file://{rendezvous}", 0, backend)
        ensure_model_parallel_initialized(1, 1)
        with set_default_torch_dtype(config.model_config.dtype), device:
            model = initialize_model(vllm_config=config)
        get_model_loader(config.load_config).load_weights(model, config.model_config)
        process_weights_after_loading(model, config.model_config, device)
    return model.eval()


def _spread_weights(model: Any) -> None:
    """VLLM's random weights are so small that layers change next to nothing."""
    for part in (model.visual, model.mlp_AR):
        for weight in part.parameters():
            if weight.dim() > 1:
                weight.normal_(std=_SPREAD)


def _make_fp8(model: Any) -> PackedEncoder | None:
    """The packed encoder in FP8, where the device has it."""
    if find_fp8_problem(dtype=str(model.visual.dtype), tensor_parallel_size=1, quantization=None):
        return None
    merge_size = model.config.vision_config.spatial_merge_size
    return PackedEncoder(model.visual.vision_model, model.mlp_AR, merge_size, model._normalization, Fp8EncoderLayer)


def _compare(
    model: Any, fp8: PackedEncoder | None, grid: PixelGrid, shape: Shape, size: str, count: int, repeat: int
) -> Result:
    from vllm.model_executor.models.paddleocr_vl import PaddleOCRVLForConditionalGeneration as Stock

    sides = SIZES[size].height, SIZES[size].width
    rows, columns = (side // grid.factor * grid.merge_size for side in sides)
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (rows * columns, 3 * grid.patch_size**2), np.uint8) for _ in range(count)]
    device = model.visual.device
    as_bytes = [torch.from_numpy(image).to(device) for image in images]
    as_floats = [torch.from_numpy(normalize_patches(image, grid)).to(device, torch.bfloat16) for image in images]
    grids = torch.tensor([[1, rows, columns]] * count)

    def in_graphs() -> Any:
        return model.embed_multimodal(pixel_values=as_bytes, image_grid_thw=grids)

    def packed() -> Any:
        with _without_graphs(model):
            return in_graphs()

    def one_by_one() -> Any:
        return Stock.embed_multimodal(model, pixel_values=as_floats, image_grid_thw=grids)

    def in_fp8() -> Any:
        return fp8(as_bytes, grids.tolist()) if fp8 else ()

    theirs = torch.cat(list(one_by_one())).float()
    difference = max(_difference(torch.cat(list(call())), theirs) for call in (packed, in_graphs))
    graphs = model._packed._graphs
    calls = [one_by_one, packed]
    if graphs and graphs.find([rows * columns] * count):
        calls.append(in_graphs)
    seconds = [[_time(call, device) for call in calls] for _ in range(repeat)]
    stock, own, *rest = zip(*seconds, strict=True)
    measured = _compare_fp8(in_fp8, in_graphs, device, repeat) if fp8 else None
    kernels = {"bfloat16": profile_kernels(in_graphs)} | ({"FP8": profile_kernels(in_fp8)} if fp8 else {})
    flops = count * encoder_flops(shape, rows * columns)
    of_graphs = rest[0] if rest else ()
    return Result(size, count, rows * columns, stock, own, of_graphs, difference, flops, measured, kernels)


def _compare_fp8(ours: Callable[[], Any], theirs: Callable[[], Any], device: torch.device, repeat: int) -> Fp8Result:
    own, other = (torch.cat(list(call())).float() for call in (ours, theirs))
    seconds = [_time(ours, device) for _ in range(repeat)]
    return Fp8Result(seconds, _difference(own, other), float((own - other).norm() / other.norm()))


def _compare_random(model: Any, grid: PixelGrid, calls: int = 60) -> float:
    random = np.random.default_rng(1)
    worst = 0.0
    for _ in range(calls):
        sides = random.integers(1, 24, (random.integers(1, 17), 2)) * grid.merge_size
        images = [
            torch.from_numpy(random.integers(0, 256, (rows * columns, 3 * grid.patch_size**2), np.uint8)).cuda()
            for rows, columns in sides.tolist()
        ]
        grids = torch.tensor([[1, *side] for side in sides.tolist()])
        ours = torch.cat(list(model.embed_multimodal(pixel_values=images, image_grid_thw=grids)))
        with _without_graphs(model):
            theirs = torch.cat(list(model.embed_multimodal(pixel_values=images, image_grid_thw=grids)))
        worst = max(worst, _difference(ours, theirs))
    return worst


def _difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours.float() - theirs.float()).abs().max() / theirs.float().abs().max())


@contextmanager
def _without_graphs(model: Any) -> Iterator[None]:
    graphs, model._packed._graphs = model._packed._graphs, None
    try:
        yield
    finally:
        model._packed._graphs = graphs


def _time(call: Callable[[], Any], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    typer.run(main)
