"""Pictures for load, and what a server that nothing disturbs reads in them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ocrvl_client import Client
from tools.nano.world import World


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its text, as the undisturbed server read it."""

    name: str
    data: bytes
    text: str


def draw_files(seed: int, lines: int, receipts: int) -> dict[str, bytes]:
    """Short lines, and receipts of 3 to 6 rows, by name; the same for the same seed."""
    world = World(Random(seed))
    files = {f"line {number}": world.line().png() for number in range(lines)}
    return files | {f"receipt {number}": world.receipt(3 + number % 4).png() for number in range(receipts)}


def read_undisturbed(grpc_url: str, files: dict[str, bytes]) -> list[Picture]:
    """Each picture with its text.

    They are read one by one, then all at once: a picture that reads differently in company lies between two tokens
    that are as good as equally likely, where the order of float32 sums decides. It is left out, since its text would
    say nothing about faults.
    """
    with Client(grpc_url) as client:
        alone = [client.read(data).text for data in files.values()]
        together = [reading.text for reading in client.read_batch(list(files.values()))]
    return [
        Picture(name, data, first)
        for (name, data), first, second in zip(files.items(), alone, together, strict=True)
        if first == second
    ]
