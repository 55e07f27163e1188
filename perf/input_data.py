"""Writes input data for perf_analyzer: distinct drawn receipts as requests to `ocr`.

Distinct, because repeated pictures would be answered from caches where those are on.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from tools.nano.world import World


def encode_element(data: bytes) -> str:
    """One BYTES element as perf_analyzer wants it: base64 of a 4-byte little-endian length and the bytes."""
    return base64.b64encode(struct.pack("<I", len(data)) + data).decode("ascii")


def request(data: bytes) -> dict[str, object]:
    """One request to `ocr` with one picture."""
    return {"image": {"content": {"b64": encode_element(data)}, "shape": [1]}}


def main(
    output: Annotated[Path, typer.Argument(help="The JSON file to write.")],
    count: Annotated[int, typer.Option(help="How many distinct receipts.")] = 256,
    seed: Annotated[int, typer.Option(help="The same seed draws the same receipts.")] = 0,
) -> None:
    """Write input data for perf_analyzer's --input-data."""
    world = World(Random(seed))
    output.write_text(json.dumps({"data": [request(world.receipt(6).png()) for _ in range(count)]}))
    print(f"{output}: {count} receipts")


if __name__ == "__main__":
    typer.run(main)
