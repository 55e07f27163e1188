"""The whole comparison: every image through transformers, through the server, and through an engine listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ocrvl.engine_settings import EngineSettings
from ocrvl.imaging.decode import ImageLimits
from ocrvl.messages import PackedImage
from ocrvl.models.preprocess.pipeline import Preprocessor
from ocrvl.options import Options
from ocrvl.wire import Task
from ocrvl_client import Client, Reading
from perf.parity.comparison import Comparison, compare
from perf.parity.engine import EngineProbe, EngineView
from perf.parity.images import Sample
from perf.parity.reference import Reference, ReferenceReading


def compare_samples(
    samples: Sequence[Sample],
    settings: EngineSettings,
    grpc_url: str,
    max_tokens: int,
    on_stage: Callable[[str], None] = lambda _stage: None,
) -> list[Comparison]:
    """Compare all of it, on a running server whose engine has these settings; at most 64 samples."""
    on_stage("reading with transformers")
    references = read_references(samples, settings, max_tokens)
    on_stage("reading with the server")
    served = read_served(samples, grpc_url, max_tokens)
    on_stage("looking into an engine")
    images = cut_samples(samples, settings)
    views = asyncio.run(look_into_engine(images, references, settings))
    return [
        compare(sample.name, reference, image, settings.grid, view, reading)
        for sample, reference, image, view, reading in zip(samples, references, images, views, served, strict=True)
    ]


def read_references(samples: Sequence[Sample], settings: EngineSettings, max_tokens: int) -> list[ReferenceReading]:
    """Each sample through transformers."""
    reference = Reference(settings.checkpoint)
    return [reference.read(sample.data, max_tokens) for sample in samples]


def read_served(samples: Sequence[Sample], grpc_url: str, max_tokens: int) -> list[Reading]:
    """All samples through the `ocr` ensemble in one request, so that packing and batching have their part in it."""
    with Client(grpc_url) as client:
        return client.read_batch([sample.data for sample in samples], raw=True, max_tokens=max_tokens)


def cut_samples(samples: Sequence[Sample], settings: EngineSettings) -> list[PackedImage]:
    """Each sample as `preprocess` cuts it with `exact_resize`: what the engine makes of it shows no other rounding."""
    preprocessor = Preprocessor(settings.grid, ImageLimits(), exact_resize=True)
    done = preprocessor.preprocess([sample.data for sample in samples], [Task.OCR], Options())
    return list(done.images())


async def look_into_engine(
    images: Sequence[PackedImage], references: Sequence[ReferenceReading], settings: EngineSettings
) -> list[EngineView]:
    """Each image through an engine of its own making, with the reference's tokens."""
    probe = await EngineProbe.start(settings)
    try:
        return [await probe.look(image, reference.tokens) for image, reference in zip(images, references, strict=True)]
    finally:
        await probe.stop()
