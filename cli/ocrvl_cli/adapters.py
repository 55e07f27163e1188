"""`ocrvl adapters`: LoRA adapters as files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ocrvl_cli.extras import require_packages
from ocrvl_cli.terminal import Console, Group, echo

app = typer.Typer(cls=Group, help="LoRA adapters: check, convert and merge them.", no_args_is_help=True)

_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The adapter's folder.")]
_Output = Annotated[Path, typer.Argument(metavar="OUTPUT", help="The folder to write, which must not exist.")]
_Checkpoint = Annotated[
    str, typer.Option(help="What it was trained on: nano (embedded), a folder, or a hub id such as owner/name.")
]


@app.callback()
def _all_commands() -> None:
    require_packages(("pydantic", "safetensors", "torch"), "server", "adapters")


@app.command()
def check(folder: _Folder, checkpoint: _Checkpoint = "nano") -> None:
    """Say what stands against serving an adapter; the exit status is 1 where something does."""
    from ocrvl.adapters.check import check_adapter
    from ocrvl.adapters.folder import weight_shapes

    with _told():
        adapter = check_adapter(folder, weight_shapes(_resolve(checkpoint)))
    where = "the language model and the encoder" if adapter.changes_encoder else "the language model"
    echo(f"{folder}: fits {checkpoint}: rank {adapter.rank}, {len(adapter.modules)} modules of {where}")


@app.command()
def convert(folder: _Folder, output: _Output, checkpoint: _Checkpoint = "nano") -> None:
    """Write an adapter of peft, ms-swift or PaddleFormers as this server takes it."""
    from ocrvl.adapters.convert import convert_adapter

    with _told():
        convert_adapter(folder, _resolve(checkpoint), output)
    echo(f"{output}: written")


@app.command()
def merge(folder: _Folder, output: _Output, checkpoint: _Checkpoint = "nano") -> None:
    """Write the checkpoint with the adapter in it."""
    from ocrvl.adapters.merge import merge_adapter

    with _told():
        merge_adapter(folder, _resolve(checkpoint), output)
    echo(f"{output}: written")


def _resolve(checkpoint: str) -> Path:
    from ocrvl.checkpoint import resolve_checkpoint

    try:
        return resolve_checkpoint(checkpoint, Path())
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error), param_hint="--checkpoint") from None


@contextmanager
def _told() -> Iterator[None]:
    from ocrvl.adapters.folder import AdapterError

    try:
        yield
    except AdapterError as error:
        Console(stderr=True).print(str(error), style="red")
        raise typer.Exit(1) from None
