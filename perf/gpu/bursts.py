"""Texts in bursts (`ocrvl.vllm_plugin.bursts`) against those of single steps, token by token, greedy.

Each engine reads the same images with so many in flight, twice. With one in flight all is computed in the same order,
and texts have to be equal. With more, which requests share a step depends on when they come, and with it the shape of
products: in bfloat16 words that are nearly as likely then change places. How many do so by themselves either engine
says that is asked twice, and how nearly as likely they were the log probabilities where two texts part.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import typer

from ocrvl.engine_settings import EngineSettings
from ocrvl.imaging.decode import ImageLimits
from ocrvl.models.engine.request import unique_id
from ocrvl.models.engine.vllm_engine import VllmEngine
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.wire import Task
from perf.gpu.sizes import IMAGES, SIZES, draw_images
from perf.gpu.stand_in import write_stand_in, write_weights

_ROUNDS_OF_ONE: Final = 4


@dataclass(frozen=True)
class Tokens:
    """A text by its token ids; `gaps` says how far each one's runner-up lay below it in log probability."""

    ids: list[int]
    gaps: list[float]


Texts = list[Tokens]


def main(
    output: Annotated[Path, typer.Argument(help="A folder for texts.json and logs.")],
    tokens: Annotated[int, typer.Option(help="Of a burst.")] = 8,
    graphs: Annotated[bool, typer.Option(help="Whether an inner step is one graph.")] = True,
    in_flight: Annotated[str, typer.Option(help="Requests at once.")] = "1,32,128",
    size: Annotated[str, typer.Option(help=f"Of images: {', '.join(SIZES)}.")] = "receipt",
    tiny: Annotated[bool, typer.Option(help="A tiny stand-in and a few tokens, to try the script on a CPU.")] = False,
) -> None:
    """Compare texts of the embedded checkpoint and of the stand-in; exit 1 where one in flight gives another text."""
    output.mkdir(parents=True, exist_ok=True)
    counts = [int(count) for count in in_flight.split(",")]
    with tempfile.TemporaryDirectory(prefix="ocrvl-bursts-") as name:
        stand_in = write_stand_in(Path(name) / "stand-in", **({"text": {}, "vision": {}} if tiny else {}))
        # in another process: one that has used the GPU keeps some of it
        with _processes(1) as pool:
            pool.submit(write_weights, stand_in).result()
        readings = _read_all(
            {"nano": "nano", "stand-in": str(stand_in)}, Path(name), output, counts, size, tokens, graphs, tiny
        )
    (output / "texts.json").write_text(json.dumps(readings, default=asdict), "utf-8")
    is_equal = [_report(checkpoint, counts, *readings[checkpoint]) for checkpoint in readings]
    if not all(is_equal):
        raise typer.Exit(1)


def _processes(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1)


def _read_all(
    checkpoints: dict[str, str],
    folder: Path,
    output: Path,
    counts: Sequence[int],
    size: str,
    tokens: int,
    graphs: bool,
    tiny: bool,
) -> dict[str, list[list[Texts]]]:
    """Texts by checkpoint: of single steps, of the same with gaps, of bursts, again; by number in flight each."""
    length = 8 if tiny else SIZES[size].tokens
    with _processes(2 * len(checkpoints)) as pool:
        futures: dict[str, list[Future[list[Texts]]]] = {}
        for name, checkpoint in checkpoints.items():
            for burst in {"tokens": 1}, {"tokens": tokens, "graphs": graphs}:
                settings = folder / f"{name}-{burst['tokens']}.json"
                arguments = {**_arguments(tiny), "model": checkpoint, "additional_config": {"burst": burst}}
                settings.write_text(json.dumps(arguments), "utf-8")
                log = output / f"{settings.stem}.log"
                future = pool.submit(_read, settings, log, counts, size, length)
                futures.setdefault(name, []).append(future)
        texts = {name: [future.result() for future in pair] for name, pair in futures.items()}
    half = len(counts)
    return {name: [part for all_ in pair for part in (all_[:half], all_[half:])] for name, pair in texts.items()}


def _arguments(tiny: bool) -> dict[str, Any]:
    device = (
        {"enforce_eager": True, "max_num_seqs": 8} if tiny else {"max_num_seqs": 128, "max_num_batched_tokens": 16384}
    )
    # several engines share the GPU: each takes what it is told
    memory = {} if tiny else {"gpu_memory_utilization": 0.1, "kv_cache_memory_bytes": 4 << 30}
    return {"dtype": "bfloat16", "max_model_len": 2048, **device, **memory}


def _read(settings: Path, log: Path, counts: Sequence[int], size: str, length: int) -> list[Texts]:
    with log.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return asyncio.run(_read_in_flight(EngineSettings.from_file(settings), counts, size, length))


async def _read_in_flight(settings: EngineSettings, counts: Sequence[int], size: str, length: int) -> list[Texts]:
    options = Options(max_tokens=length, raw=True, stop_repetition=False)
    message = Preprocessor(settings.grid, ImageLimits()).preprocess(
        draw_images(SIZES[size], min(IMAGES, max(counts) + _ROUNDS_OF_ONE)), [Task.OCR], options
    )
    images = list(message.images())
    engine = await asyncio.to_thread(VllmEngine.start, settings)
    is_single = settings.engine_args["additional_config"]["burst"]["tokens"] == 1

    async def read(number: int, with_gaps: bool) -> Tokens:
        image, name = images[number % len(images)], unique_id()
        given = engine.inputs.render(image, None, name)
        params = engine.inputs.sampling_params(image.task, options, len(given["prompt_token_ids"]), stream=False)
        params.logprobs = 2 if with_gaps else None
        async for output in engine.llm.generate(given, params, name):
            text = output.outputs[0]
        return Tokens(list(text.token_ids), [_gap(likely) for likely in text.logprobs or ()])

    texts = []
    try:
        # requests for log probabilities have single steps, whatever the engine is set to
        for with_gaps in False, is_single:
            for count in counts:
                rounds = _ROUNDS_OF_ONE if count == 1 else 1
                turns = [[read(turn + place, with_gaps) for place in range(count)] for turn in range(rounds)]
                texts.append([text for reads in turns for text in await asyncio.gather(*reads)])
        return texts
    finally:
        await asyncio.to_thread(engine.stop)


def _gap(likely: Mapping[int, Any]) -> float:
    first, second = sorted((entry.logprob for entry in likely.values()), reverse=True)[:2]
    return float(first - second)


def _report(
    checkpoint: str,
    counts: Sequence[int],
    single: list[Texts],
    known: list[Texts],
    bursts: list[Texts],
    again: list[Texts],
) -> bool:
    """Print how many are equal, and how they part; whether with one in flight all are equal."""
    for count, one, other, burst, second in zip(counts, single, known, bursts, again, strict=True):
        gaps = [gap for text, there in zip(burst, other, strict=True) if (gap := _parting(text, there)) is not None]
        where = (
            f"; others part where the runner-up is {median(gaps):.3f} below, {max(gaps):.3f} at most" if gaps else ""
        )
        print(
            f"{checkpoint}, {count} in flight: {len(other) - len(gaps)} of {len(other)} texts of bursts are those of "
            f"single steps{where}; asked again, {_equal(one, other)} of single steps and {_equal(burst, second)} of "
            "bursts are the same"
        )
    return all(_equal(*both) == len(both[0]) for count, *both in zip(counts, known, bursts, strict=True) if count == 1)


def _parting(text: Tokens, known: Tokens) -> float | None:
    """The gap where a text leaves the one whose gaps are known; None where it does not."""
    if text.ids == known.ids:
        return None
    same = takewhile(lambda pair: pair[0] == pair[1], zip(text.ids, known.ids, strict=False))
    return known.gaps[min(len(list(same)), len(known.gaps) - 1)]


def _equal(one: Texts, other: Texts) -> int:
    return sum(here.ids == there.ids for here, there in zip(one, other, strict=True))


if __name__ == "__main__":
    typer.run(main)
