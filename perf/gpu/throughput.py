"""Pictures a second of an engine on this machine's GPU, closed loop, for one way of feeding it.

`ready`: patches that are there already, straight to the engine, which is the limit. `stock`: the same with vLLM's own
class. `front`: pictures through vLLM's own processor, as its OpenAI server hands them on. `served`: encoded pictures
through the whole Triton server over gRPC. One way a process: what a way leaves behind is not the next one's.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from PIL import Image

from ocrvl.engine.serve import Job
from ocrvl.engine.settings import EngineSettings
from ocrvl.engine.vllm_engine import VllmEngine
from ocrvl.images.decode import PictureLimits
from ocrvl.images.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.wire import Task
from perf.gpu.stand_in import write_stand_in

_SIZES: Final = {"line": ((1100, 84), 30), "receipt": ((448, 672), 150), "page": ((840, 1190), 1000)}
"""Width and height in pixels, and output tokens."""


class Way(StrEnum):
    """How pictures reach the engine."""

    READY = "ready"
    STOCK = "stock"
    FRONT = "front"
    SERVED = "served"


def main(
    way: Annotated[Way, typer.Argument(help="How pictures reach the engine.")],
    output: Annotated[Path, typer.Argument(help="A JSON file, added to.")],
    sizes: Annotated[str, typer.Option(help="Size classes.")] = "line,receipt,page",
    in_flight: Annotated[str, typer.Option(help="Numbers of requests in flight.")] = "1,32,128",
    seconds: Annotated[float, typer.Option(help="Of one measurement; it ends with what is under way.")] = 6.0,
    output_tokens: Annotated[int | None, typer.Option(help="Instead of the size class's own.")] = None,
    max_num_seqs: Annotated[int, typer.Option(help="The engine's.")] = 128,
    eager: Annotated[bool, typer.Option(help="Without CUDA graphs and compilation.")] = False,
) -> None:
    """Measure one way, for each size class and number in flight."""
    with tempfile.TemporaryDirectory(prefix="ocrvl-gpu-") as name:
        folder = Path(name)
        write_stand_in(folder / "stand-in")
        settings = folder / "model.json"
        arguments = {
            "model": str(folder / "stand-in"),
            "load_format": "dummy",
            "dtype": "bfloat16",
            "max_model_len": 8192,
            "max_num_seqs": max_num_seqs,
            "max_num_batched_tokens": 16384,
            "enforce_eager": eager,
        }
        settings.write_text(json.dumps(arguments))
        figures = asyncio.run(
            _measure(way, settings, sizes.split(","), [int(n) for n in in_flight.split(",")], seconds, output_tokens)
        )
    known = json.loads(output.read_text()) if output.exists() else []
    output.write_text(json.dumps(known + figures, indent=1))


async def _measure(
    way: Way, settings: Path, sizes: list[str], in_flight: list[int], seconds: float, output_tokens: int | None
) -> list[dict[str, Any]]:
    figures = []
    async with AsyncExitStack() as stack:
        began = time.perf_counter()
        reader = await _open(way, settings, stack)
        print(f"{way}: ready after {time.perf_counter() - began:.0f} s", flush=True)
        for size in sizes:
            (width, height), tokens = _SIZES[size]
            ask = reader(_draw(width, height), output_tokens or tokens)
            # kernels are chosen and compiled at first
            await asyncio.gather(*(ask(number) for number in range(max(in_flight))))
            for count in in_flight:
                figure = {"way": way, "size": size, "in_flight": count, **await _loop(ask, count, seconds)}
                print(json.dumps(figure), flush=True)
                figures.append(figure)
    return figures


Ask = Callable[[int], Awaitable[int]]
Reader = Callable[[list[bytes], int], Ask]
"""Encoded pictures and a number of tokens to what reads one of them, by number, and says how many tokens came."""


async def _open(way: Way, settings: Path, stack: AsyncExitStack) -> Reader:
    if way is Way.SERVED:
        return await _open_server(settings, stack)
    if way in (Way.STOCK, Way.FRONT):
        os.environ["VLLM_PLUGINS"] = ""
    engine_settings = EngineSettings.from_file(settings)
    engine = await asyncio.to_thread(VllmEngine.start, engine_settings)
    stack.push_async_callback(asyncio.to_thread, engine.stop)
    return _front(engine) if way is Way.FRONT else _ready(engine, engine_settings)


def _ready(engine: VllmEngine, settings: EngineSettings) -> Reader:
    def reader(files: list[bytes], tokens: int) -> Ask:
        options = Options(max_tokens=tokens, stop_repetition=False, raw=True)
        preprocessor = Preprocessor(settings.grid, PictureLimits())
        packed = [
            picture for file in files for picture in preprocessor.preprocess([file], [Task.OCR], options).pictures()
        ]

        async def ask(number: int) -> int:
            reading = await engine.read(packed[number % len(packed)], Job.begin(options))
            return reading.num_output_tokens

        return ask

    return reader


def _front(engine: VllmEngine) -> Reader:
    """Pictures as vLLM's own front end takes them, decoded, since its server decodes them in threads of its own."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    prompt = "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>OCR:"

    def reader(files: list[bytes], tokens: int) -> Ask:
        params = SamplingParams(temperature=0, max_tokens=tokens, output_kind=RequestOutputKind.FINAL_ONLY)

        async def ask(number: int) -> int:
            data = files[number % len(files)]
            picture = await asyncio.to_thread(lambda: Image.open(io.BytesIO(data)).convert("RGB"))
            request = {"prompt": prompt, "multi_modal_data": {"image": picture}}
            async for answer in engine.llm.generate(request, params, uuid.uuid4().hex):
                last = answer
            return len(last.outputs[0].token_ids)

        return ask

    return reader


async def _open_server(settings: Path, stack: AsyncExitStack) -> Reader:
    import shutil

    import tritonclient.grpc.aio as triton_grpc

    from ocrvl.serving.locate import find_model_repository
    from ocrvl.serving.server import ServerOptions, TritonServer
    from ocrvl.wire import Model, Tensor
    from perf.requests import encode_inputs, encode_text

    repository = settings.parent / "repository"
    shutil.copytree(find_model_repository(), repository)
    shutil.copy(settings, repository / Model.ENGINE / "1/model.json")
    preprocess = repository / Model.PREPROCESS / "config.pbtxt"
    cores = max(2, (os.cpu_count() or 2) - 4)
    preprocess.write_text(preprocess.read_text().replace("count: 2", f"count: {cores}"))
    server = stack.enter_context(TritonServer(ServerOptions(repository, http_port=0, grpc_port=0, metrics_port=0)))
    await asyncio.to_thread(server.wait_until_ready)
    client = await stack.enter_async_context(triton_grpc.InferenceServerClient(server.grpc_url))

    def reader(files: list[bytes], tokens: int) -> Ask:
        options = encode_text(json.dumps({"max_tokens": tokens, "stop_repetition": False, "raw": True}).encode())
        inputs = [encode_inputs({Tensor.IMAGE: encode_text(file), Tensor.OPTIONS: options}) for file in files]

        async def ask(number: int) -> int:
            answer = await client.infer(Model.OCR.value, inputs[number % len(inputs)])
            return int(answer.as_numpy(Tensor.NUM_OUTPUT_TOKENS.value).sum())

        return ask

    return reader


def _draw(width: int, height: int, count: int = 64) -> list[bytes]:
    """JPEG files of noise that compresses as pages do: smooth at first, then sharpened by scaling."""
    files = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (height // 6, width // 6, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).resize((width, height)).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


async def _loop(ask: Ask, in_flight: int, seconds: float) -> dict[str, Any]:
    """Keep so many requests in flight; whole requests are counted, over the time until the last has ended."""
    latencies: list[float] = []
    tokens = 0
    began = time.perf_counter()
    processor = time.process_time()

    async def worker(number: int) -> None:
        nonlocal tokens
        while time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            came = await ask(number)
            tokens += came
            latencies.append(time.perf_counter() - asked)
            number += in_flight

    await asyncio.gather(*map(worker, range(in_flight)))
    took = time.perf_counter() - began
    quantiles = statistics.quantiles(latencies, n=20) if len(latencies) > 1 else latencies * 19
    return {
        "pictures": len(latencies),
        "pictures_per_second": len(latencies) / took,
        "tokens_per_second": tokens / took,
        "latency_p50": statistics.median(latencies),
        "latency_p95": quantiles[18],
        "own_cpu_ms_per_picture": 1000 * (time.process_time() - processor) / len(latencies),
    }


if __name__ == "__main__":
    typer.run(main)
