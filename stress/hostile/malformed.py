"""Requests of every malformed kind, straight at Triton's two ports."""

from __future__ import annotations

import base64
import json
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from ocrvl.wire import STREAM_PARAMETER, Model, Tensor
from perf.harness.tensors import image_tensors
from stress.hostile.attack import Attack
from stress.hostile.attack_context import AttackContext, count_answers, infer_path, json_body, read_request, request

_OCR: Final = infer_path(Model.OCR)
_TYPES: Final = ("INT32", "FP32", "BOOL", "UINT8", "bytes", "", "TYPE_STRING", "NONE")
_SHAPES: Final[tuple[list[Any], ...]] = (
    *([], [0], [2], [-1], [-2], [1, 1], [1] * 500, [2**31], [2**32], [2**40], [2**62], [2**63], [2**64]),
    *(["1"], [1.5], [None], [[1]], [True], [2**32, 2**32], [2**33, 2**31]),
)
_DATA: Final[tuple[Any, ...]] = (None, 5, [5], [None], [[]], [{}], {}, "x")
_INPUTS: Final[tuple[Any, ...]] = ([], None, 5, [None], [{}])
_OUTPUTS: Final[tuple[Any, ...]] = (*([{"name": "poem"}], [{}], 5, [{"name": "text", "parameters": 5}]),)
_PARAMETERS: Final[tuple[Any, ...]] = (
    *({"priority": -1}, {"timeout": "soon"}, {"priority": 2**70}, {STREAM_PARAMETER: 5}, 5, {"a": {}}),
)
_IDS: Final[tuple[Any, ...]] = (5, None, {}, "a\nb", "i" * 1_000_000)
_NO_JSON: Final = (
    *(b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"a":NaN}', b"\0" * 5000),
    b'{"inputs":[' + b"1e999," * 1000 + b"1]}",
    b'{"inputs":[],"inputs":[{"name":"image"}]}',
)
_MODELS: Final = (
    *(
        "nothing",
        "..",
        "../ocr",
        "ocr/versions/999",
        "ocr/versions/-1",
        "ocr/versions/x",
        "ocr/versions/18446744073709551616",
    ),
    *("%00", "%2e%2e%2f", "o" * 8000, "ocr%0d%0aX:%20y", "\u00e4"),
)


def _http_bodies(context: AttackContext) -> Iterator[bytes]:
    image = base64.b64encode(context.image.data).decode()
    yield from (json_body("image", datatype, [1], [image]) for datatype in _TYPES)
    yield from (json_body("image", "BYTES", shape, [image]) for shape in _SHAPES)
    yield from (json_body("image", "BYTES", [1], data) for data in (*_DATA, [[image] * 2]))
    yield from (json_body(name, "BYTES", [1], [image]) for name in ("", "photo", "image\0", "i" * 100_000))
    good = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [image]}
    several = ([good, good], [good, {**good, "name": "more"}], {"image": good}, [good] * 2000)
    bodies = [{"inputs": inputs} for inputs in (*_INPUTS, *several)]
    bodies += [{"inputs": [good], "outputs": outputs} for outputs in _OUTPUTS]
    bodies += [{"inputs": [good], "parameters": parameters} for parameters in _PARAMETERS]
    bodies += [{"inputs": [good], "id": name} for name in _IDS]
    yield from (json.dumps(body).encode() for body in bodies)
    yield from _NO_JSON


def _malformed_http(context: AttackContext) -> Counter[str]:
    return count_answers(_http_bodies(context), lambda body: context.post(_OCR, body))


def _unknown_models(context: AttackContext) -> Counter[str]:
    body = json_body("image", "BYTES", [1], [""])
    paths = [infer_path(name.encode("ascii", "replace").decode()) for name in _MODELS]
    names = [
        ("nothing", ""),
        ("ocr", "999"),
        ("ocr", "-1"),
        ("ocr", "x"),
        ("", ""),
        ("o" * 100_000, ""),
        ("../ocr", ""),
    ]
    requests = [
        request(name, {Tensor.IMAGE: image_tensors(b"x", task="ocr")[Tensor.IMAGE]}, version) for name, version in names
    ]
    return count_answers(paths, lambda path: context.post(path, body)) + count_answers(requests, context.infer)


def _element(data: bytes, length: int | None = None) -> bytes:
    """An element of a BYTES tensor, which begins with its length."""
    return struct.pack("<I", len(data) if length is None else length) + data


def _bad_elements(image: bytes) -> list[bytes]:
    """Contents that are no BYTES tensor of one element."""
    whole = _element(image)
    return [
        *(
            b"",
            b"\0",
            b"\0\0\0",
            _element(image, 2**32 - 1),
            _element(image, 2**31),
            _element(image, len(image) + 1),
        ),
        *(_element(image, len(image) - 1), whole[:-1], whole + b"\0", whole + _element(b""), whole * 3, image),
    ]


def _bad_binary(context: AttackContext) -> Counter[str]:
    def post(case: tuple[bytes, Any, Any]) -> str:
        content, size, header_length = case
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": size}}
        header = json.dumps({"inputs": [tensor]}).encode()
        length = str(len(header) if header_length is None else header_length)
        return context.post(_OCR, header + content, {"Inference-Header-Content-Length": length})

    whole = _element(context.image.data)
    sizes = (0, -1, 1, len(whole) - 1, len(whole) + 1, 2**31, 2**32, 2**63, 2**64, "x", None, 1.5)
    lengths = (0, -1, 1, 10**6, 2**31, 2**32, 2**63, "x", "", "1e3", " 5")
    cases: list[tuple[bytes, Any, Any]] = [
        (content, len(content), None) for content in _bad_elements(context.image.data)
    ]
    cases += [(whole, size, None) for size in sizes] + [(whole, len(whole), length) for length in lengths]
    return count_answers(cases, post)


def _grpc_messages(context: AttackContext) -> Iterator[Any]:
    image = context.image.data
    for datatype in _TYPES:
        message = read_request(image)
        message.inputs[0].datatype = datatype
        yield message
    for shape in (
        [],
        [0],
        [2],
        [-1],
        [1, 1],
        [1] * 500,
        [2**31],
        [2**40],
        [2**62],
        [-(2**63)],
        [2**32, 2**32],
        [2**33, 2**31],
    ):
        message = read_request(image)
        message.inputs[0].shape[:] = shape
        yield message
    for content in _bad_elements(image):
        message = read_request(image)
        message.raw_input_contents[0] = content
        yield message
    message = read_request(image)
    del message.raw_input_contents[:]
    yield message
    message = read_request(image)
    message.inputs[0].contents.bytes_contents.append(image)
    yield message
    message = read_request(image)
    message.inputs.extend([message.inputs[0]] * 2000)
    yield message
    message = read_request(image)
    message.outputs.add(name="poem")
    yield message
    yield from _odd_fields(image)
    yield from (
        b"",
        b"\xff" * 100,
        b"\x0a\xff\xff\xff\xff\x0f",
        bytes(100_000),
        read_request(image).SerializeToString()[:-5],
    )


def _odd_fields(image: bytes) -> Iterator[Any]:
    """Ids, parameters and shared memory that nobody else sends."""
    for name in ("i" * 1_000_000, 'a"\n\\\x01', "\u2028"):
        message = read_request(image)
        message.id = name
        yield message
    texts = ('"', "\\", "\n", "\x00", "\x1f", "\ud7ff", "x" * 100_000)
    for key, value in [*((STREAM_PARAMETER, text) for text in texts), *((text, "x") for text in texts)]:
        message = read_request(image)
        message.parameters[key].string_param = value
        yield message
    for key in ("priority", "timeout", "sequence_id", STREAM_PARAMETER, "traceparent"):
        for number in (-1, 2**63 - 1, -(2**63)):
            message = read_request(image)
            message.parameters[key].int64_param = number
            yield message
    message = read_request(image)
    message.inputs[0].parameters["shared_memory_region"].string_param = "nobody's"
    message.inputs[0].parameters["shared_memory_byte_size"].int64_param = 2**40
    yield message


def _malformed_grpc(context: AttackContext) -> Counter[str]:
    return count_answers(_grpc_messages(context), context.infer)


def _classification(context: AttackContext) -> Counter[str]:
    """Triton's classification extension divides by the size of an element, which texts have not."""
    message = read_request(context.image.data)
    message.outputs.add(name=Tensor.TEXT.value).parameters["classification"].int64_param = 1
    good = json.loads(json_body("image", "BYTES", [1], [base64.b64encode(context.image.data).decode()]))
    outputs = [{"name": Tensor.TEXT, "parameters": {"classification": 1}}]
    return Counter([context.infer(message)]) + Counter(
        [context.post(_OCR, json.dumps({**good, "outputs": outputs}).encode())]
    )


def _deep_json(context: AttackContext) -> Counter[str]:
    depths = (1_000, 100_000, 5_000_000)
    bodies = [b'{"inputs":' + b"[" * depth + b"]" * depth + b"}" for depth in depths]
    return count_answers(bodies, lambda body: context.post(_OCR, body))


ATTACKS: Final = (
    Attack(
        "malformed JSON",
        "wrong types, shapes, names, data, parameters, ids; no JSON at all, over HTTP",
        _malformed_http,
    ),
    Attack("binary tensors", "wrong sizes, header lengths and elements of BYTES, over HTTP", _bad_binary),
    Attack(
        "malformed protobuf", "the same over gRPC; odd ids, parameters, shared memory; no protobuf", _malformed_grpc
    ),
    Attack("unknown models", "names and versions that do not exist, paths out of the repository", _unknown_models),
    Attack(
        "classification",
        "an output of texts requested by classes, over HTTP and gRPC",
        _classification,
        ends_server=True,
    ),
    Attack("deep JSON", "lists 1,000 to 5,000,000 deep in a body of HTTP", _deep_json, ends_server=True),
)
