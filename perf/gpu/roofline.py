"""What the arithmetic alone allows: operations by size class, and the rates at which a device at its peak could do it.

The shapes are those of the stand-in checkpoint. A ceiling is for a device that has nothing else to do.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from ocrvl.imaging.grid import PixelGrid
from ocrvl.prompts import TASK_PROMPTS, PromptRenderer
from ocrvl.wire import Task
from perf.figures.data import Column, Figures, Table, Value, load
from perf.figures.new import Output, keep, new_figures
from perf.gpu.arithmetic import NUMBER_BYTES, Device, ImageCost, Shape
from perf.gpu.sizes import SIZES, Size
from perf.gpu.stand_in import write_stand_in

_DATA_SHEETS: Final = (
    # NVIDIA's data sheets, dense bfloat16, SXM
    Device("A100 80GB (data sheet)", 312e12, 2.039e12),
    Device("H100 80GB (data sheet)", 989e12, 3.35e12),
)


_PARTS: Final = ("encoder", "prefill", "decoding")
_TABLES: Final = {
    "costs": Table(
        rows=("workload", "patches"),
        columns=(
            Column(title="image", value="workload"),
            Column(title="patches", value="patches", format=","),
            Column(title="prompt", value="prompt_tokens", format=","),
            Column(title="output", value="output_tokens", format=","),
            *(Column(title=f"{part}, TFLOP", value=f"{part}_tflop", format=".3f") for part in _PARTS),
        ),
    ),
    "ceilings": Table(
        rows=("device", "workload", "decoded_together"),
        group="device",
        columns=(
            Column(title="images a second", value="workload"),
            Column(title="decoded together", value="decoded_together"),
            *(Column(title=f"{part} alone", value=f"{part}_per_second", format=",.1f") for part in _PARTS),
            Column(title="all in turn", value="ceiling_per_second", format=",.1f"),
        ),
    ),
    "devices": Table(
        rows=("device",),
        columns=(
            Column(title="device", value="device"),
            Column(title="TFLOP/s", value="tflop_per_second", format=",.1f"),
            Column(title="GB/s", value="gb_per_second", format=",.0f"),
        ),
    ),
}


def main(
    output: Output = None,
    measured: Annotated[
        list[Path] | None, typer.Option(help="Such a file of another device, for its ceilings.")
    ] = None,
    batches: Annotated[str, typer.Option(help="Images decoded together.")] = "1,32,128",
) -> None:
    """Print operations, bytes and ceilings; measure this device's peaks where `--output` is given."""
    try:
        devices = [device for file in measured or [] for device in read_devices(file)]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--measured") from None
    if output:
        devices.append(measure_device())
    with tempfile.TemporaryDirectory(prefix="ocrvl-roofline-") as folder:
        checkpoint = write_stand_in(Path(folder) / "stand-in")
        shape = Shape.from_config(json.loads((checkpoint / "config.json").read_text("utf-8")))
        costs = {name: _cost_of(shape, size, checkpoint) for name, size in SIZES.items()}
    figures = to_figures(shape, costs, [*devices, *_DATA_SHEETS], [int(batch) for batch in batches.split(",")])
    keep("roofline", figures, Console(width=120), output=output)


def to_figures(
    shape: Shape, costs: Mapping[str, ImageCost], devices: Sequence[Device], batches: Sequence[int]
) -> Figures:
    """A record for each size, for each device, and for each of both and number of images decoded together."""
    weights = shape.decode_weights * NUMBER_BYTES / 1e9
    return new_figures(
        question="How many images a second does the arithmetic allow?",
        rounds=None,
        conditions=(
            f"{weights:.2f} GB of weights are read a decoding step, {shape.kv_bytes:,} bytes of keys and values a "
            "token. Operations are of matrix products and attention."
        ),
        measurements=[
            *(_cost_record(name, cost) for name, cost in costs.items()),
            *(
                _ceiling_record(shape, device, name, cost, batch)
                for device in devices
                for name, cost in costs.items()
                for batch in batches
            ),
            *map(_device_record, devices),
        ],
        tables=_TABLES,
    )


def read_devices(file: Path) -> list[Device]:
    """Those that a file of figures has measured; data sheets are known here. Raises `ValueError` where it has none."""
    figures = load(file.stem, file.parent)
    names = {str(one["device"]) for one in figures.measurements if "tflop_per_second" in one}
    found = [
        Device(
            name,
            figures.number("tflop_per_second", device=name) * 1e12,
            figures.number("gb_per_second", device=name) * 1e9,
        )
        for name in sorted(names - {device.name for device in _DATA_SHEETS})
    ]
    if not found:
        raise ValueError(f"{file}: expected a device that was measured, found none")
    return found


def _device_record(device: Device) -> dict[str, Value]:
    return {
        "device": device.name,
        "tflop_per_second": device.flops / 1e12,
        "gb_per_second": device.bytes_per_second / 1e9,
    }


def _cost_record(name: str, cost: ImageCost) -> dict[str, Value]:
    parts = zip(_PARTS, (cost.encoder, cost.prefill, cost.decode), strict=True)
    return {
        "workload": name,
        "patches": cost.patches,
        "prompt_tokens": cost.prompt_tokens,
        "output_tokens": cost.output_tokens,
        **{f"{part}_tflop": flops / 1e12 for part, flops in parts},
    }


def _ceiling_record(shape: Shape, device: Device, name: str, cost: ImageCost, batch: int) -> dict[str, Value]:
    seconds = cost.seconds(shape, device, batch)
    return {
        "device": device.name,
        "workload": name,
        "decoded_together": batch,
        **{f"{part}_per_second": 1 / each for part, each in zip(_PARTS, seconds, strict=True)},
        "ceiling_per_second": 1 / sum(seconds),
    }


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
