"""The embedded checkpoint's texts on this machine's device, against those that another device wrote.

`python -m perf.gpu.texts cpu.json` on one machine, `python -m perf.gpu.texts gpu.json --against cpu.json` on the other.
The engine is the served one; images are those of the parity check, and go along in the file, since what draws them
needs fonts.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from base64 import b64decode, b64encode
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ocrvl.checkpoint import resolve_checkpoint
from ocrvl.engine_settings import EngineSettings
from ocrvl.imaging.decode import ImageLimits
from ocrvl.imaging.grid import PixelGrid
from ocrvl.messages import Reading
from ocrvl.models.engine.request import unique_id
from ocrvl.models.engine.vllm_engine import VllmEngine
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.vllm_plugin.settings import EncoderPrecision
from ocrvl.wire import Task


def main(
    output: Annotated[Path, typer.Argument(help="A JSON file for the texts.")],
    against: Annotated[Path | None, typer.Option(help="The texts of another device.")] = None,
    dtype: Annotated[str, typer.Option(help="What the engine computes in.")] = "auto",
    eager: Annotated[bool, typer.Option(help="Without CUDA graphs and compilation.")] = True,
    precision: Annotated[EncoderPrecision, typer.Option(help="What the encoder's layers compute in.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the images.")] = 0,
) -> None:
    """Read the images, all at once; exit status 1 where texts differ from the other device's."""
    other = json.loads(against.read_text("utf-8")) if against else None
    images = list(map(b64decode, other["images"])) if other else _draw(seed)
    readings = asyncio.run(_read(images, dtype, eager, precision))
    encoded = [b64encode(image).decode() for image in images]
    output.write_text(json.dumps({"images": encoded, "readings": [asdict(reading) for reading in readings]}), "utf-8")
    print(f"{len(readings)} images, {sum(reading.num_output_tokens for reading in readings)} tokens")
    if other:
        others = [Reading(**reading) for reading in other["readings"]]
        unequal = [(one, there) for one, there in zip(readings, others, strict=True) if one.text != there.text]
        for one, there in unequal:
            print(f"image {one.index}:\n  here  {one.text!r}\n  there {there.text!r}")
        print(f"{len(readings) - len(unequal)} of {len(readings)} texts are equal")
        if unequal:
            raise typer.Exit(1)


def _draw(seed: int) -> list[bytes]:
    from perf.parity.images import draw_samples

    grid = PixelGrid.from_checkpoint(resolve_checkpoint("nano", Path()))
    return [sample.data for sample in draw_samples(grid, seed)]


async def _read(images: list[bytes], dtype: str, eager: bool, precision: EncoderPrecision) -> list[Reading]:
    with tempfile.TemporaryDirectory(prefix="ocrvl-texts-") as folder:
        file = Path(folder) / "model.json"
        arguments = {"model": "nano", "dtype": dtype, "max_model_len": 4096, "enforce_eager": eager}
        arguments["additional_config"] = {"encoder_precision": precision}
        file.write_text(json.dumps(arguments), "utf-8")
        settings = EngineSettings.from_file(file)
        packed = Preprocessor(settings.grid, ImageLimits()).preprocess(images, [Task.OCR], Options(raw=True))
        engine = await asyncio.to_thread(VllmEngine.start, settings)
        try:
            reads = [engine.read(image, packed.options, unique_id()) for image in packed.images()]
            return await asyncio.gather(*reads)
        finally:
            await asyncio.to_thread(engine.stop)


if __name__ == "__main__":
    typer.run(main)
