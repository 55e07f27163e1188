"""`ocrvl quantize`: a checkpoint with fewer bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ocrvl.quantization.layers import Parts
from ocrvl.quantization.schemes import Scheme
from ocrvl_cli.extras import require_packages
from ocrvl_cli.terminal import Console

if TYPE_CHECKING:
    from rich.progress import Progress

    from ocrvl.quantization.checkpoint import QuantizationPlan


def quantize(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="nano (embedded), a folder, or a hub id such as owner/name.")
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The folder to write; it must not exist.")],
    scheme: Annotated[Scheme, typer.Option(help="How linear layers are stored and computed.")] = Scheme.FP8,
    parts: Annotated[Parts, typer.Option(help="The text model alone, or the vision encoder as well.")] = Parts.ALL,
) -> None:
    """Quantise a checkpoint without data, in the format of compressed-tensors, which vLLM and transformers read.

    Embeddings, projector and head stay as they are, and so do layers whose dimensions a scheme does not divide: they
    are named. One weight at a time is in memory.

    Example: ocrvl quantize PaddlePaddle/PaddleOCR-VL-1.6 ./fp8 --scheme fp8
    """
    require_packages(("torch", "safetensors"), "server", "quantize")
    from ocrvl.checkpoint import resolve_checkpoint
    from ocrvl.quantization.checkpoint import QuantizationPlan, QuantizationRefused, quantize_checkpoint

    errors = Console(stderr=True)
    try:
        folder = resolve_checkpoint(source, Path.cwd())
        plan = QuantizationPlan.of(folder, scheme, parts)
        with _progress(errors) as progress:
            task = progress.add_task(f"quantising {folder.name}", total=None)
            quantize_checkpoint(plan, target, lambda done, whole: progress.update(task, completed=done, total=whole))
    except QuantizationRefused as error:
        errors.print(str(error), style="red")
        raise typer.Exit(2) from None
    except FileNotFoundError as error:
        errors.print(f"SOURCE: {error}", style="red")
        raise typer.Exit(2) from None
    except OSError as error:
        errors.print(f"TARGET: {target} cannot be written: {error}", style="red")
        raise typer.Exit(1) from None
    for left_out in plan.layers.left_out:
        errors.print(f"left as it is: {left_out}", style="yellow")
    _print_sizes(Console(), target, plan)


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True)


def _print_sizes(console: Console, target: Path, plan: QuantizationPlan) -> None:
    (before, after), (layers_before, layers_after) = plan.total_bytes, plan.linear_bytes
    console.print(f"wrote {target}")
    console.print(f"  weights  {before / 1e6:,.1f} MB, now {after / 1e6:,.1f} MB")
    console.print(f"  layers   {layers_before / 1e6:,.1f} MB, now {layers_after / 1e6:,.1f} MB")
