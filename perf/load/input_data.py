"""Writes input data for perf_analyzer: distinct drawn images as requests to `ocr`, or ready patches for the engine.

Distinct, because repeated images would be answered from caches where those are on.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tritonclient.grpc as triton_grpc
import typer

from ocrvl.files import is_pdf
from ocrvl.wire import Model, Tensor
from perf.harness.tensors import bytes_tensor, encode_inputs
from perf.images import SizeClass, draw_files

COUNTS = {
    SizeClass.LINE: 256,
    SizeClass.RECEIPT: 256,
    SizeClass.A4_150: 32,
    SizeClass.A4_300: 16,
    SizeClass.DOCUMENT: 8,
}
"""How many distinct images are drawn unless a number is given; perf_analyzer keeps all in memory."""


def encode_element(data: bytes) -> str:
    """One BYTES element as perf_analyzer takes it: base64 of a 4-byte little-endian length and the bytes."""
    return base64.b64encode(_serialized(data)).decode("ascii")


def image_request(data: bytes, max_tokens: int | None = None) -> dict[str, object]:
    """One request with one image, to `ocr`, `ocr_stream` or `preprocess`, or a PDF to `document`.

    `max_tokens` bounds the text of an image or block.
    """
    if is_pdf(data):
        elements = {Tensor.FILE: data} | _options(max_tokens, "max_new_tokens")
    else:
        elements = {Tensor.IMAGE: data} | _options(max_tokens)
    return {name.value: {"content": {"b64": encode_element(one)}, "shape": [1]} for name, one in elements.items()}


def patches_request(tensors: Mapping[str, Any]) -> dict[str, object]:
    """One request to the engine's model, from the tensors of the engine's input, each with a leading 1.

    perf_analyzer adds that 1 itself, since the model has a batch dimension. Numbers are raw little-endian bytes.
    """
    request: dict[str, object] = {}
    for name, array in tensors.items():
        is_text = array.dtype == np.object_
        raw = b"".join(map(_serialized, array.ravel())) if is_text else np.ascontiguousarray(array).tobytes()
        content = {"b64": base64.b64encode(raw).decode("ascii")}
        request[name] = {"content": content, "shape": list(array.shape[1:])}
    return request


def preprocess(grpc_url: str, files: Iterable[bytes], max_tokens: int | None = None) -> list[dict[str, Any]]:
    """What a running server's `preprocess` makes of each file: so the patches are those of its own checkpoint."""
    made = []
    with triton_grpc.InferenceServerClient(grpc_url) as client:
        for file in files:
            elements = {Tensor.IMAGE: file} | _options(max_tokens)
            inputs = encode_inputs({name: bytes_tensor(one) for name, one in elements.items()})
            answer = client.infer(Model.PREPROCESS.value, inputs)
            made.append({output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs})
    return made


def write_input_data(
    output: Path, files: Iterable[bytes], max_tokens: int | None = None, patches_from: str | None = None
) -> int:
    """Write the requests, one a file; how many there are.

    `patches_from` is the gRPC address of a server: then they are ready patches for the engine's model.
    """
    if patches_from is None:
        requests = [image_request(file, max_tokens) for file in files]
    else:
        requests = [patches_request(tensors) for tensors in preprocess(patches_from, files, max_tokens)]
    output.write_text(json.dumps({"data": requests}))
    return len(requests)


def main(
    output: Annotated[Path, typer.Argument(help="The JSON file to write.")],
    images: Annotated[SizeClass, typer.Option(help="What to draw.")] = SizeClass.RECEIPT,
    count: Annotated[int | None, typer.Option(help="How many; by default as many as suit their size.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same images.")] = 0,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens generated for an image at most.")] = None,
    patches_from: Annotated[
        str | None, typer.Option(help="gRPC address of a server: write ready patches, for paddleocr_vl.")
    ] = None,
) -> None:
    """Write input data for perf_analyzer's --input-data."""
    files = islice(draw_files(images, seed), count or COUNTS[images])
    print(f"{output}: {write_input_data(output, files, max_tokens, patches_from)} requests ({images})")


def _options(max_tokens: int | None, key: str = "max_tokens") -> dict[Tensor, bytes]:
    return {} if max_tokens is None else {Tensor.OPTIONS: json.dumps({key: max_tokens}).encode()}


def _serialized(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


if __name__ == "__main__":
    typer.run(main)
