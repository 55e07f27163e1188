"""The commands of the mini checkpoint: `python -m training mini --help`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from random import Random
from typing import Annotated, Final

import typer

from training.common.trainer import Plan

_CHECKPOINT: Final = Path("runs/mini/checkpoint")
_WORLD: Final = Path("runs/mini/world")
_STATE: Final = Path("runs/mini/state")

app = typer.Typer(help="The checkpoint of all six tasks.", no_args_is_help=True)

WorldOption = Annotated[Path, typer.Option(help="Folder that `gather` wrote.")]
CheckpointOption = Annotated[Path, typer.Option(help="Folder of the checkpoint.")]
ShareOption = Annotated[float, typer.Option(help="How many of the images or pages: 0.1 for a glance.")]


@app.command("gather")
def gather_command(
    world: WorldOption = _WORLD,
    merges: Annotated[bool, typer.Option("--merges", help="Learn the tokenizer anew: weights are lost.")] = False,
) -> None:
    """Bring fonts and prose from Debian's packages into a folder that travels to a machine without them."""
    from training.mini.gather.fonts import gather_fonts
    from training.mini.gather.merges import learn_merges
    from training.mini.gather.prose import gather_prose
    from training.mini.vocabulary import MERGES_FILE
    from training.mini.world.prose import read_prose

    path = world / "prose.txt.xz"
    print(f"{gather_prose(path)} blocks of prose")
    if merges:
        blocks = read_prose(path, held_out=False)
        pairs = [(language, block) for language, texts in blocks.items() for block in texts]
        print(f"{learn_merges(MERGES_FILE, pairs)} merges")
    print(f"{gather_fonts(world / 'fonts')} fonts")


@app.command("train")
def train_command(
    world: WorldOption = _WORLD,
    checkpoint: CheckpointOption = _CHECKPOINT,
    resume: Annotated[Path, typer.Option(help="Folder of the state: taken up if there, written as it goes.")] = _STATE,
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    seconds: Annotated[float, typer.Option(help="Length of the whole training; the learning rate ends there.")] = 7200,
    part: Annotated[float, typer.Option(help="End this part after so many seconds; resume later.")] = 1e9,
    seed: Annotated[int, typer.Option(help="Of the weights and of every drawing.")] = 0,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    batch_tokens: Annotated[int, typer.Option(help="Patches and tokens in a batch.")] = 96_000,
    workers: Annotated[int, typer.Option(help="Drawing processes; 0 for all cores but one.")] = 0,
    reuse: Annotated[int, typer.Option(help="How often a drawn batch may be used where drawing is slower.")] = 3,
    compiled: Annotated[bool, typer.Option(help="Compile the layers, on a GPU.")] = True,
    report_seconds: Annotated[float, typer.Option(help="Between two lines of metrics.")] = 20,
    score_seconds: Annotated[float, typer.Option(help="Between two scores on held-out prose; saves as well.")] = 200,
) -> None:
    """Train a part. The same command resumes from the last save; the schedule is one of time, over all parts."""
    from training.mini.state import load_clock
    from training.mini.train import train

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # workers are forked
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a log that can be followed
    plan = Plan(
        seed=seed,
        device=device,
        seconds=seconds,
        until=load_clock(resume)[1] + part,
        rate=rate,
        batch_tokens=batch_tokens,
        workers=workers or max(1, (os.cpu_count() or 2) - 1),
        reuse=reuse,
        compiled=compiled,
        report_seconds=report_seconds,
        score_seconds=score_seconds,
    )
    train(plan, world, checkpoint, resume)


@app.command("pace")
def pace_command(
    world: WorldOption = _WORLD,
    seconds: Annotated[float, typer.Option(help="How long to draw for each row of the table.")] = 10,
    progress: Annotated[float, typer.Option(help="At which part of the training, 0 to 1.")] = 0.5,
) -> None:
    """Tell how fast one process draws: images, patches and tokens a second."""
    from training.common.batches import Batch
    from training.mini.samples import SLOTS, MiniDrawer
    from training.mini.world.draw import Matter

    drawer = MiniDrawer(Matter.read(world), "pace")
    images = patches = tokens = 0
    began = time.process_time()
    while time.process_time() - began < seconds:
        shape = drawer.pick(progress)
        batch = Batch.empty(shape, 4, SLOTS)
        drawer.fill(batch, shape, progress)
        images, patches = images + 4, patches + 4 * shape.patches
        tokens += int((batch.labels >= 0).sum())
    spent = time.process_time() - began
    print(
        f"{images / spent:.1f} images, {patches / spent:.0f} patches, {tokens / spent:.0f} tokens of answers a second"
    )


@app.command("samples")
def samples_command(
    folder: Annotated[Path, typer.Argument(help="Folder that the images are written to.")],
    world: WorldOption = _WORLD,
    count: Annotated[int, typer.Option(help="How many.")] = 24,
    seed: Annotated[int, typer.Option(help="Of the drawings.")] = 0,
) -> None:
    """Draw images as training sees them, with their answers beside them."""
    from PIL import Image

    from training.mini.samples import draw_for
    from training.mini.shapes import pick_shape
    from training.mini.world.draw import Matter, World

    folder.mkdir(parents=True, exist_ok=True)
    drawer = World(Random(seed), Matter.read(world))
    for number in range(count):
        drawing = draw_for(pick_shape(drawer.rng, 1.0), drawer)
        Image.fromarray(drawing.image).save(folder / f"{number:03d}-{drawing.task.value}.png")
        (folder / f"{number:03d}-{drawing.task.value}.txt").write_text(drawing.answer + "\n", "utf-8")


@app.command("score")
def score_command(
    checkpoint: CheckpointOption = _CHECKPOINT,
    beside: Annotated[list[Path] | None, typer.Option(help="Other checkpoints, such as nano's.")] = None,
    world: WorldOption = _WORLD,
    share: ShareOption = 1.0,
    errors: Annotated[bool, typer.Option("--errors", help="Show what was misread.")] = False,
    card: Annotated[bool, typer.Option("--write-card", help="Write the table into the checkpoint's card.")] = False,
) -> None:
    """Draw what training never saw, read it with transformers in float32, and tell how much was right."""
    from training.mini.score.card import format_drawn, write_section
    from training.mini.score.drawn import score_drawn, transformers_reader

    folders = [checkpoint, *(beside or [])]
    results = {folder.name: score_drawn(transformers_reader(folder), world, share) for folder in folders}
    table = format_drawn(results)
    print(table)
    if errors:
        for result in results[checkpoint.name]:
            for truth, text in result.misread:
                print(f"\n{result.chosen.name}\n  printed {truth!r}\n  read    {text!r}")
    if card:
        write_section(checkpoint / "README.md", "score", table)


@app.command("manuals")
def manuals_command(
    server: Annotated[str, typer.Option(help="A running server's address, host:port of gRPC.")] = "localhost:8001",
    checkpoint: CheckpointOption = _CHECKPOINT,
    share: ShareOption = 1.0,
    card: Annotated[bool, typer.Option("--write-card", help="Write the table into the checkpoint's card.")] = False,
) -> None:
    """Have a server's `document` read 50 pages of Debian's manuals and compare them with their text layer."""
    from ocrvl_client import Client
    from training.mini.score.card import format_manuals, write_section
    from training.mini.score.manuals import score_manuals

    with Client(server) as client:
        pages = score_manuals(lambda file: client.document(file).markdown, share)
    table = format_manuals(pages)
    print(table)
    if card:
        write_section(checkpoint / "README.md", "manuals", table)
