"""The commands of the checkpoint of `fields`: `python -m training fields --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Annotated, Final

import typer
from rich.console import Console

from ocrvl.models.fields.checkpoint import load_classifier
from perf.figures.new import Save, keep
from training.fields.export import export_checkpoint, export_state
from training.fields.report import format_table, make_figures, write_card
from training.fields.score import score_given
from training.fields.served import score_served
from training.fields.train import train
from training.fields.trainer import Plan
from training.fields.world import ReceiptWorld
from training.nano.texts import Split, read_words

_CHECKPOINT: Final = Path("backend/ocrvl/checkpoints/fields")
_STATE: Final = Path("runs/fields")

app = typer.Typer(help="The checkpoint that finds fields of receipts.", no_args_is_help=True)

State = Annotated[Path, typer.Option(help="Folder of the state: taken up if there, written as it goes.")]
Checkpoint = Annotated[Path, typer.Option(help="Folder of the checkpoint.")]
Words = Annotated[Path, typer.Option(help="Word list (Debian's wamerican).")]


@app.command("train")
def train_command(
    state: State = _STATE,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    steps: Annotated[int, typer.Option(help="Length of the whole training; the learning rate ends there.")] = 4000,
    until: Annotated[int, typer.Option(help="End this part at so many steps of the whole; resume later.")] = 10**9,
    seed: Annotated[int, typer.Option(help="Of the weights and of every drawing.")] = 0,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    batch: Annotated[int, typer.Option(help="Receipts of a step.")] = 8,
    workers: Annotated[int, typer.Option(help="Drawing processes; with one, a seed fixes the result.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of the training step, on a CPU.")] = 1,
    words: Words = Path("/usr/share/dict/words"),
) -> None:
    """Train LayoutLMv3's architecture, made small, on drawn receipts; about half an hour of one core.

    Stopped or ended early, the same command resumes it from the last save, a step in 250. `export` then writes the
    checkpoint.
    """
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a log that can be followed
    train(Plan(seed, device, steps, until, rate, batch, workers, threads, words), state)


@app.command("export")
def export_command(
    state: State = _STATE,
    checkpoint: Checkpoint = _CHECKPOINT,
    source: Annotated[
        str | None, typer.Option(help="A LayoutLMv3ForTokenClassification of transformers: a folder or a hub id.")
    ] = None,
) -> None:
    """Write config.json, tokenizer.json and model.onnx, which `fields` loads, from the state or from `source`."""
    if source:
        export_checkpoint(source, checkpoint)
    else:
        export_state(state, checkpoint)


@app.command("score")
def score_command(
    checkpoint: Checkpoint = _CHECKPOINT,
    receipts: Annotated[int, typer.Option(help="How many to draw.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the drawings.")] = 0,
    server: Annotated[
        str | None, typer.Option(help="gRPC address of a server whose model receipt reads them too.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Show what was missed.")] = False,
    card: Annotated[bool, typer.Option("--write-card", help="Write the table into the checkpoint's card.")] = False,
    save: Save = False,
    words: Words = Path("/usr/share/dict/words"),
) -> None:
    """Draw receipts of words, shapes and fonts that training never saw, and count the fields that are found.

    An entity is right where its kind and every letter of its text are. The exit status is 1 where F1 is less than 0.99
    with true boxes, or than 0.97 through a server's detection and reading.
    """
    world = ReceiptWorld(Random(f"{seed}/score"), read_words(Split.HELD_OUT, words), Split.HELD_OUT)
    drawn = [world.receipt() for _ in range(receipts)]
    scores = score_given(load_classifier(checkpoint, 1), drawn, seed)
    if server:
        scores += score_served(server, drawn)
    print(format_table(scores))
    if errors:
        for one in scores:
            print("\n".join([f"\n{one.name}:", *one.misses]))
    if card:
        write_card(checkpoint / "README.md", scores)
    if save:
        keep("fields", make_figures(scores), Console(), save_them=True)
    if not all(one.reaches_target for one in scores):
        raise typer.Exit(1)
