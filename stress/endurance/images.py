"""Images for load, and what a server that nothing disturbs reads in them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from ocrvl_client import Client, Document
from training.nano.world import World

_TOGETHER: Final = 8
"""Documents in company: as many as the server reads at a time."""


@dataclass(frozen=True)
class ReferenceImage:
    """An encoded image, its text, and its Markdown as a document, as the undisturbed server read it."""

    name: str
    data: bytes
    text: str
    markdown: str = ""


def draw_files(seed: int, lines: int, receipts: int) -> dict[str, bytes]:
    """Short lines, and receipts of 3 to 6 rows, by name; the same for the same seed."""
    world = World(Random(seed))
    files = {f"line {number}": world.line().png() for number in range(lines)}
    return files | {f"receipt {number}": world.receipt(3 + number % 4).png() for number in range(receipts)}


def read_undisturbed(grpc_url: str, files: dict[str, bytes]) -> list[ReferenceImage]:
    """Each image with its text.

    They are read one by one, then all at once: an image that reads differently in company lies between two tokens
    that are as good as equally likely, where the order of float32 sums decides. It is left out, since its text would
    say nothing about faults.
    """
    with Client(grpc_url) as client:
        alone = [client.read(data).text for data in files.values()]
        together = [reading.text for reading in client.read_batch(list(files.values()))]
    return [
        ReferenceImage(name, data, first)
        for (name, data), first, second in zip(files.items(), alone, together, strict=True)
        if first == second
    ]


def read_documents(grpc_url: str, images: Sequence[ReferenceImage]) -> list[ReferenceImage]:
    """Those images that read alike as documents, alone and in company, with their Markdown."""
    with Client(grpc_url) as client, ThreadPoolExecutor(_TOGETHER) as threads:
        alone = [read_markdown(client, image.data) for image in images]
        together = list(threads.map(lambda image: read_markdown(client, image.data), images))
    return [
        replace(image, markdown=first)
        for image, first, second in zip(images, alone, together, strict=True)
        if first == second
    ]


def read_markdown(client: Client, data: bytes) -> str:
    """An image's Markdown as a document, streamed. Raises `OcrvlError`, also where a block cannot be read."""
    *_, document = client.document_stream(data, strict=True)
    assert isinstance(document, Document)
    return document.markdown
