"""The engine alone, which bounds all servers: `LLM.generate` on patches that are ready, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psutil

from ocrvl.processes import descendants, kill
from perf.bench.workload import Size, SystemName
from perf.harness.serve_process import classify

_STOP_SECONDS: Final = 60.0


class EngineAlone:
    """Use in a `with` block. Leaves out everything before the engine, so its images are prepared beforehand."""

    name = SystemName.ENGINE

    def __init__(
        self,
        engine_args: Mapping[str, Any],
        images: Mapping[Size, Sequence[bytes]],
        max_tokens: Mapping[Size, int],
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        context = get_context("spawn")
        self._log = log
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(self._theirs, dict(engine_args), images, max_tokens, dict(environment), log)
        )

    def __enter__(self) -> EngineAlone:
        self._process.start()
        # the other process has it now: held here as well, its end would never be noticed
        self._theirs.close()
        self._receive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(_STOP_SECONDS)
        kill(self._below())
        self._process.kill()

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """Its own and the engine's."""
        found = [("LLM", psutil.Process(self._process.pid))]
        for process in self._below():
            with contextlib.suppress(psutil.Error):
                found.append((classify(process.name(), process.cmdline())[1], process))
        return found

    async def read(self, size: Size, count: int, in_flight: int, first: int) -> list[tuple[float, int]]:
        """Read images one by one, or all in one call, of which the engine runs as many in_flight as it may.

        All of one call come back in_flight, so they share its time.
        """
        answers = []
        many = 1 if in_flight == 1 else count
        for start in range(0, count, many):
            self._pipe.send((size, [first + number for number in range(start, start + many)]))
            answers += await asyncio.to_thread(self._receive)
        return answers

    def _below(self) -> set[psutil.Process]:
        try:
            return set(psutil.Process(self._process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return set()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name.label}: its process has ended, see {self._log}") from None


def _serve(
    pipe: Connection,
    engine_args: dict[str, Any],
    images: Mapping[Size, Sequence[bytes]],
    max_tokens: Mapping[Size, int],
    environment: dict[str, str],
    log: Path,
) -> None:
    """The other process: answers lists of images until it is told to stop."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment, VLLM_PLUGINS="ocrvl", VLLM_WORKER_MULTIPROC_METHOD="spawn")
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import RequestOutputKind

    llm = LLM(**engine_args)
    inputs = _prepare(Path(engine_args["model"]), images)
    pipe.send("ready")
    while order := pipe.recv():
        size, numbers = order
        params = SamplingParams(temperature=0, max_tokens=max_tokens[size], output_kind=RequestOutputKind.FINAL_ONLY)
        prompts = [inputs[size][number % len(inputs[size])] for number in numbers]
        began = time.perf_counter()
        outputs = llm.generate(prompts, params, use_tqdm=False)
        took = time.perf_counter() - began
        pipe.send([(took, len(output.outputs[0].token_ids)) for output in outputs])
    # a process waits for its children before it ends, and the engine's own would wait for it
    kill(descendants())


def _prepare(checkpoint: Path, images: Mapping[Size, Sequence[bytes]]) -> dict[Size, list[dict[str, Any]]]:
    import torch

    from ocrvl.imaging.decode import ImageLimits
    from ocrvl.imaging.grid import PixelGrid
    from ocrvl.models.preprocess.pipeline import Preprocessor
    from ocrvl.options import Options
    from ocrvl.prompts import TASK_PROMPTS, PromptRenderer
    from ocrvl.wire import Task

    preprocessor = Preprocessor(PixelGrid.from_checkpoint(checkpoint), ImageLimits())
    prompt = PromptRenderer(checkpoint).render(TASK_PROMPTS[Task.OCR]).token_ids(1)
    prepared: dict[Size, list[dict[str, Any]]] = {}
    for size, files in images.items():
        prepared[size] = []
        for file in files:
            (image,) = preprocessor.preprocess([file], [Task.OCR], Options()).images()
            patches = {
                "pixel_values": [torch.from_numpy(image.patches)],
                "image_grid_thw": torch.tensor([image.grid]),
            }
            prepared[size].append({"prompt_token_ids": prompt, "multi_modal_data": {"image": patches}})
    return prepared
