"""Train the nano checkpoint: `python -m training.train_nano --help`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from training.nano.train import train
from training.nano.trainer import Plan


def main(
    checkpoint: Annotated[Path, typer.Option(help="Folder that the checkpoint is written to.")] = Path(
        "backend/ocrvl/checkpoints/nano"
    ),
    resume: Annotated[Path, typer.Option(help="Folder of the state: taken up if there, written as it goes.")] = Path(
        "runs/nano"
    ),
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    seconds: Annotated[float, typer.Option(help="Length of the whole training; the learning rate ends there.")] = 1200,
    until: Annotated[float, typer.Option(help="End this part at so many seconds of the whole; resume later.")] = 1e9,
    seed: Annotated[int, typer.Option(help="Of the weights and of every drawing.")] = 0,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    work: Annotated[int, typer.Option(help="Patches and tokens in a batch; 6000 suits a CPU.")] = 96_000,
    workers: Annotated[int, typer.Option(help="Drawing processes; 0 for all cores but one.")] = 0,
    reuse: Annotated[int, typer.Option(help="How often a drawn batch may be used where drawing is slower.")] = 3,
    words: Annotated[Path, typer.Option(help="Word list (Debian's wamerican).")] = Path("/usr/share/dict/words"),
    muon: Annotated[bool, typer.Option(help="Train hidden matrices by Muon, not AdamW.")] = True,
    compiled: Annotated[bool, typer.Option(help="Compile the layers, on a GPU.")] = True,
    report_seconds: Annotated[float, typer.Option(help="Between two lines of metrics.")] = 20,
    score_seconds: Annotated[float, typer.Option(help="Between two scores on held-out words; saves as well.")] = 120,
) -> None:
    """Train PaddleOCR-VL's architecture, made small, on drawn text.

    On one H100 twenty minutes are enough. On a CPU (`--device cpu --work 6000 --seconds 40000 --score-seconds 1800`) it
    is the same training, hours long. Stopped or ended early, the same command resumes it from the last save. The seed
    fixes the first weights and what each worker draws; which batch comes when depends on the machine's speed, so that
    two runs differ a little.
    """
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a log that can be followed
    plan = Plan(
        seed=seed,
        device=device,
        seconds=seconds,
        until=until,
        rate=rate,
        work=work,
        workers=workers or max(1, (os.cpu_count() or 2) - 1),
        reuse=reuse,
        words=words,
        muon=muon,
        compiled=compiled,
        report_seconds=report_seconds,
        score_seconds=score_seconds,
    )
    train(plan, checkpoint, resume)


if __name__ == "__main__":
    typer.run(main)
