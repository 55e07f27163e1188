"""What the arithmetic alone allows: operations by size class, and the rates at which a device at its peak could do it.

The shapes are those of the stand-in checkpoint. A ceiling is for a device that has nothing else to do.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from ocrvl.imaging.grid import PixelGrid
from ocrvl.prompts import TASK_PROMPTS, PromptRenderer
from ocrvl.wire import Task
from perf.gpu.arithmetic import NUMBER_BYTES, Device, ImageCost, Shape
from perf.gpu.sizes import SIZES, Size
from perf.gpu.stand_in import write_stand_in

_DATA_SHEETS: Final = (
    # NVIDIA's data sheets, dense bfloat16, SXM
    Device("A100 80GB (data sheet)", 312e12, 2.039e12),
    Device("H100 80GB (data sheet)", 989e12, 3.35e12),
)


def main(
    output: Annotated[Path | None, typer.Option(help="A JSON file for what was measured of this device.")] = None,
    measured: Annotated[
        list[Path] | None, typer.Option(help="Such a file of another device, for its ceilings.")
    ] = None,
    batches: Annotated[str, typer.Option(help="Images decoded together.")] = "1,32,128",
) -> None:
    """Print operations, bytes and ceilings as Markdown; measure this device's peaks where `--output` is given."""
    devices = [Device(**json.loads(file.read_text("utf-8"))) for file in measured or []]
    if output:
        devices.append(measure_device())
        output.write_text(json.dumps(asdict(devices[-1])), "utf-8")
    with tempfile.TemporaryDirectory(prefix="ocrvl-roofline-") as folder:
        checkpoint = write_stand_in(Path(folder) / "stand-in")
        shape = Shape.from_config(json.loads((checkpoint / "config.json").read_text("utf-8")))
        costs = {name: _cost_of(shape, size, checkpoint) for name, size in SIZES.items()}
    print(render(shape, costs, [*devices, *_DATA_SHEETS], [int(batch) for batch in batches.split(",")]))


def render(shape: Shape, costs: Mapping[str, ImageCost], devices: Sequence[Device], batches: Sequence[int]) -> str:
    """The tables."""
    weights = shape.decode_weights * NUMBER_BYTES / 1e9
    lines = [
        f"{weights:.2f} GB of weights are read a decoding step, {shape.kv_bytes:,} bytes of keys and values a token.",
        "",
        "| | patches | prompt | output | encoder, TFLOP | prefill, TFLOP | decoding, TFLOP |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, cost in costs.items():
        tera = (f"{flops / 1e12:.3f}" for flops in (cost.encoder, cost.prefill, cost.decode))
        tokens = (f"{count:,}" for count in (cost.patches, cost.prompt_tokens, cost.output_tokens))
        lines.append(f"| {name} | {' | '.join((*tokens, *tera))} |")
    for device in devices:
        peaks = f"{device.flops / 1e12:,.1f} TFLOP/s, {device.bytes_per_second / 1e9:,.0f} GB/s"
        lines += [
            "",
            f"{device.name}: {peaks}. Images/s of each part alone, and of all in turn:",
            "",
            "| | decoded together | encoder | prefill | decoding | all |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for name, cost in costs.items():
            for batch in batches:
                parts = cost.seconds(shape, device, batch)
                rates = (f"{1 / seconds:,.1f}" for seconds in (*parts, sum(parts)))
                lines.append(f"| {name} | {batch} | {' | '.join(rates)} |")
    return "\n".join(lines)


def measure_device() -> Device:
    """This device's rates in a bfloat16 product of random numbers and in a copy: large ones, small on a CPU."""
    import torch

    name = f"{torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'} (measured)"
    return Device(name, measure_matrix_rate(), _measure_copy_rate())


def measure_matrix_rate() -> float:
    """Operations a second in a product of two bfloat16 matrices."""
    import torch

    side = 8192 if _device() == "cuda" else 512
    left, right = (torch.randn(side, side, device=_device(), dtype=torch.bfloat16) for _ in range(2))
    return float(2 * side**3 / _median_seconds(lambda: left @ right))


def _measure_copy_rate() -> float:
    """Bytes a second in a copy: each is read and written."""
    import torch

    count = 1 << (32 if _device() == "cuda" else 22)
    source = torch.empty(count, device=_device(), dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * count / _median_seconds(lambda: target.copy_(source))


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _median_seconds(call: Callable[[], object]) -> float:
    import torch

    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    seconds = []
    for _ in range(25):
        wait()
        began = time.perf_counter()
        call()
        wait()
        seconds.append(time.perf_counter() - began)
    # the first are slower: memory is allocated, clocks rise
    return statistics.median(seconds[5:])


def _cost_of(shape: Shape, size: Size, checkpoint: Path) -> ImageCost:
    """What the server makes of an image of this size: it is resized to the model's limits."""
    grid = PixelGrid.from_checkpoint(checkpoint)
    width, height = grid.resized_size(size.width, size.height)
    tokens = PromptRenderer(checkpoint).render(TASK_PROMPTS[Task.OCR]).token_ids(width * height // grid.factor**2)
    return ImageCost.of(shape, width * height // grid.patch_size**2, len(tokens), size.tokens)


if __name__ == "__main__":
    typer.run(main)
