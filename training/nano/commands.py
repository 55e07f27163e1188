"""The commands of the nano checkpoint: `python -m training nano --help`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from training.common.trainer import Plan
from training.nano.reader import TransformersReader
from training.nano.score import SCORE_SETS, format_table, score, write_card
from training.nano.train import train

_CHECKPOINT: Final = Path("backend/ocrvl/checkpoints/nano")

app = typer.Typer(help="The checkpoint that is shipped.", no_args_is_help=True)


@app.command("train")
def train_command(
    checkpoint: Annotated[Path, typer.Option(help="Folder that the checkpoint is written to.")] = _CHECKPOINT,
    resume: Annotated[Path, typer.Option(help="Folder of the state: taken up if there, written as it goes.")] = Path(
        "runs/nano"
    ),
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    seconds: Annotated[float, typer.Option(help="Length of the whole training; the learning rate ends there.")] = 1200,
    until: Annotated[float, typer.Option(help="End this part at so many seconds of the whole; resume later.")] = 1e9,
    seed: Annotated[int, typer.Option(help="Of the weights and of every drawing.")] = 0,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    batch_tokens: Annotated[int, typer.Option(help="Patches and tokens in a batch; 6000 suits a CPU.")] = 96_000,
    workers: Annotated[int, typer.Option(help="Drawing processes; 0 for all cores but one.")] = 0,
    reuse: Annotated[int, typer.Option(help="How often a drawn batch may be used where drawing is slower.")] = 3,
    words: Annotated[Path, typer.Option(help="Word list (Debian's wamerican).")] = Path("/usr/share/dict/words"),
    muon: Annotated[bool, typer.Option(help="Train hidden matrices by Muon, not AdamW.")] = True,
    compiled: Annotated[bool, typer.Option(help="Compile the layers, on a GPU.")] = True,
    report_seconds: Annotated[float, typer.Option(help="Between two lines of metrics.")] = 20,
    score_seconds: Annotated[float, typer.Option(help="Between two scores on held-out words; saves as well.")] = 120,
) -> None:
    """Train PaddleOCR-VL's architecture, made small, on drawn text.

    On one H100 twenty minutes are enough. On a CPU (`--device cpu --batch-tokens 6000 --seconds 40000
    --score-seconds 1800`) it is the same training, hours long. Stopped or ended early, the same command resumes it from
    the last save. The seed fixes the first weights and what each worker draws; which batch comes when depends on the
    machine's speed, so that two runs differ a little.
    """
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a log that can be followed
    plan = Plan(
        seed=seed,
        device=device,
        seconds=seconds,
        until=until,
        rate=rate,
        batch_tokens=batch_tokens,
        workers=workers or max(1, (os.cpu_count() or 2) - 1),
        reuse=reuse,
        muon=muon,
        compiled=compiled,
        report_seconds=report_seconds,
        score_seconds=score_seconds,
    )
    train(plan, words, checkpoint, resume)


@app.command("score")
def score_command(
    checkpoint: Annotated[Path, typer.Option(help="Folder of the checkpoint.")] = _CHECKPOINT,
    share: Annotated[float, typer.Option(help="How many of the images to draw: 0.1 for a glance.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the drawings.")] = 0,
    errors: Annotated[bool, typer.Option("--errors", help="Show what was misread.")] = False,
    card: Annotated[bool, typer.Option("--write-card", help="Write the table into the checkpoint's card.")] = False,
) -> None:
    """Draw text that training never saw, read it with transformers in float32, and tell how much was right.

    A character score is 1 - edit distance / length of the truth. The exit status is 1 where the checkpoint misses its
    targets in its own world: 95 % on lines, 90 % on receipts of 4 to 8 rows.
    """
    scores = score(TransformersReader(checkpoint), share, seed)
    print(format_table(scores))
    if errors:
        for result in scores:
            for truth, text in result.misread:
                print(f"\n{result.name}, {result.kind}\n  printed {truth!r}\n  read    {text!r}")
    if card:
        write_card(checkpoint / "README.md", scores)
    promised = {chosen.name for chosen in SCORE_SETS if chosen.promised}
    if not all(result.reaches_target for result in scores if result.name in promised):
        raise typer.Exit(1)
