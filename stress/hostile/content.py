"""Well-formed requests with hostile content: options, engine input, the other models, files that are bombs."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from PIL import Image

from ocrvl.messages import PackedImages, encode_texts
from ocrvl.options import Options
from ocrvl.wire import Model, Task, Tensor
from perf.harness.tensors import bytes_tensor, image_tensors
from stress.fuzz.bombs import bmp_of, jpeg_of, jpeg_of_scans, png_of, tiff_of
from stress.fuzz.seeds import write_pdf
from stress.hostile.attack import Attack
from stress.hostile.attack_context import AttackContext, count_answers, request

_KEYS: Final = ("max_tokens", "temperature", "top_p", "seed", "min_pixels", "timeout_ms", "stop", "prompt", "raw")
_VALUES: Final = (
    "-1",
    "0",
    "1e999",
    "NaN",
    "null",
    '"x"',
    "[]",
    "{}",
    "1" * 5000,
    "9" * 400,
    "true",
    '"\\ud800"',
    "-0.0",
)
_LEVELS: Final = 9
_FAN: Final = 10
_BOMB_SECONDS: Final = 150.0
"""More than the server gives the page (`draw_seconds`)."""


_PAGE: Final = b"<</Type/Page/Parent 2 0 R/MediaBox[%b]/Contents 4 0 R>>"
_STREAM: Final = b"<</Length 3>>stream\n0 g\nendstream"


def _option_texts() -> Iterator[bytes]:
    yield from (f'{{"{key}": {value}}}'.encode() for key in _KEYS for value in _VALUES)
    yield from (
        b"",
        b" ",
        b"[]",
        b"5",
        b"\xff",
        b'{"a":1',
        b'{"raw":true,"raw":5}',
        b"[" * 200_000,
        b'{"a":' * 60_000,
        b"x" * 300_000,
    )
    yield json.dumps(dict.fromkeys((f"k{number}" for number in range(20_000)), 1)).encode()
    yield json.dumps({"k" * 200_000: 1}).encode()
    patterns = (
        "(((",
        "(a+)+$",
        "(.{1,99}){1,99}",
        "a{99999}",
        "((a{99}){99}){99}",
        r"(\w?){40}x",
        "(" * 500 + ")" * 500,
        "[a&&b]",
    )
    yield from (json.dumps({"regex": pattern}).encode() for pattern in patterns)
    yield from (json.dumps({"json_schema": schema}).encode() for schema in _schemas())


def _schemas() -> Iterator[Any]:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    yield deep
    yield {"$ref": "#"}
    yield {"$ref": "http://127.0.0.1:1/schema"}
    yield {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 2}}, "$ref": "#/$defs/a"}
    yield {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(5000)}}
    yield {"type": "array", "items": {}, "maxItems": 10**9}
    yield {"type": "integer", "multipleOf": 99991.01}
    yield {"anyOf": [{"type": "object", "properties": {f"a{number}": {}}} for number in range(500)]}
    yield {"additionalItems": {"minItems": "x"}}
    yield {"$schema": "http://json-schema.org/draft-03/schema#", "allOf": 5}
    yield {"type": "string", "pattern": "(a+)+" * 500}
    yield 5


def _options(context: AttackContext) -> Counter[str]:
    def send(text: bytes) -> str:
        tensors = image_tensors(context.image.data, task="ocr") | {Tensor.OPTIONS: bytes_tensor(text)}
        return context.infer(request(Model.OCR, tensors))

    return count_answers(_option_texts(), send)


def _packed(rows: int = 4, columns: int = 4) -> dict[Tensor, Any]:
    """A blank image on its way into the engine."""
    return PackedImages(
        patches=np.full((rows * columns, 588), 255, np.uint8),
        grids=np.array([[1, rows, columns]], np.int64),
        source_sizes=np.array([[14 * columns, 14 * rows]], np.int32),
        tasks=(Task.OCR,),
        errors=("",),
        warnings=("",),
        options=Options(max_tokens=2),
    ).encode_tensors()


def _engine_inputs() -> Iterator[dict[Tensor, Any]]:
    good = _packed()
    grids = (
        *((0, 0, 0), (1, 0, 4), (1, -4, -4), (-1, 4, -4), (1, 4, 6), (2, 2, 4), (1, 1, 16), (1, 3, 5)),
        *((1, 2**31, 2), (1, 2**62, 4), (2**62, 2**62, 2**62), (1, 2**32, 2**32), (-(2**63), 1, 1)),
    )
    yield from ({**good, Tensor.GRID_THW: np.array([[grid]], np.int64)} for grid in grids)
    for count in (0, 1, 15, 17):
        yield {**good, Tensor.PATCHES: np.zeros((1, count, 588), np.uint8)}
    for tasks in ([], [b"poem"], [b"\xff\xfe"], [b"ocr"] * 2, [b"ocr"] * 65, [b"o" * 100_000]):
        yield {**good, Tensor.TASKS: bytes_tensor(*tasks)[None]}
    for text in _option_texts():
        yield {**good, Tensor.CHECKED_OPTIONS: bytes_tensor(text)[None]}
    for error in (b"\xff", b"x", b"[UNAVAILABLE] " + b"x" * 1_000_000):
        yield {**good, Tensor.IMAGE_ERROR: bytes_tensor(error)[None]}
        yield {**good, Tensor.IMAGE_WARNING: bytes_tensor(error)[None]}
    for size in ((0, 0), (-1, -1), (2**31 - 1, 2**31 - 1)):
        spotted = {
            **good,
            Tensor.SOURCE_SIZE: np.array([[size]], np.int32),
            Tensor.TASKS: encode_texts(["spotting"])[None],
        }
        yield spotted
    # grids that preprocess never makes: one token high and thousands wide, and more than the model is long
    yield from (_packed(2, columns) for columns in (400, 4000, 40_000))
    yield {name: array[:, :0] for name, array in good.items()}
    yield {name: array for name, array in good.items() if name is not Tensor.GRID_THW}


def _engine_input(context: AttackContext) -> Counter[str]:
    return count_answers(_engine_inputs(), lambda tensors: context.infer(request(Model.ENGINE, tensors)))


def _other_models(context: AttackContext) -> Counter[str]:
    pixels = [
        np.zeros(shape, np.uint8)
        for shape in ((1, 1, 1, 3), (1, 0, 9, 3), (1, 1, 60_000, 3), (1, 20_000, 2, 3), (1, 9, 9, 3))
    ]
    layout_options = (
        b'{"layout_threshold": 2}',
        b'{"layout_unclip_ratio": {"99": [1, 1]}}',
        b'{"layout_nms": 5}',
        b"[",
        b"\xff",
    )
    layout = [{Tensor.PIXELS: one} for one in pixels]
    layout += [{Tensor.IMAGE: bytes_tensor(data)[None]} for data in (b"", b"x", context.image.data[:60])]
    layout += [{Tensor.PIXELS: pixels[-1], Tensor.OPTIONS: bytes_tensor(text)[None]} for text in layout_options]
    layout += [
        {Tensor.OPTIONS: bytes_tensor(b"{}")[None]},
        {Tensor.PIXELS: pixels[0], Tensor.IMAGE: bytes_tensor(b"x")[None]},
    ]
    documents = [{Tensor.FILE: bytes_tensor(data)} for data in _bad_documents(context.image.data)]
    good = {Tensor.FILE: bytes_tensor(context.image.data)}
    documents += [
        {**good, Tensor.OPTIONS: bytes_tensor(text)}
        for text in (b'{"pages": "9-1"}', b'{"dpi": 1e9}', b"[" * 99_999, b"\xff")
    ]
    many = write_pdf([_PAGE % b"0 0 9 9", _STREAM]).replace(b"/Count 1>>", b"/Count 1048574>>")
    options = (b"{}", b'{"pages": "%b"}' % b",".join([b"1-"] * 341), b'{"pages": "1-1000,1-1000", "max_pages": 9}')
    documents += [{Tensor.FILE: bytes_tensor(many), Tensor.OPTIONS: bytes_tensor(text)} for text in options]
    tokens = [
        {Tensor.CANCEL_TOKEN: bytes_tensor(token)}
        for token in (b"", b"x", b"\xff" * 20, b"a" * 1_000_000, b"0123456789abcdef\n")
    ]
    requests = [request(Model.LAYOUT, one) for one in layout] + [request(Model.DOCUMENT, one) for one in documents]
    return count_answers([*requests, *(request(Model.CANCEL, one) for one in tokens)], context.infer)


def _bad_documents(image: bytes) -> Sequence[bytes]:
    boxes = (b"0 0 0 0", b"0 0 1e30 1e30", b"0 0 -5 5", b"0 0 1e-9 9", b"9 9")
    pdfs = [write_pdf([_PAGE % box, _STREAM]) for box in boxes]
    return [
        *pdfs,
        b"",
        b"%PDF-",
        b"%PDF-1.7" + bytes(9999),
        pdfs[0][:200],
        b"II*\0" + b"\xff" * 100,
        b"PK\3\4",
        image[:50],
    ]


def laughing_pdf(levels: int = _LEVELS, fan: int = _FAN) -> bytes:
    """A PDF of two kilobytes whose one page draws `fan` to the power of `levels` squares."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>"
    again = b"/X Do " * fan
    objects = [page, b"<</Length %d>>stream\n%b\nendstream" % (len(again), again)]
    for number in range(6, 6 + levels):
        last = number == 5 + levels
        body = b"0 0 9 9 re f" if last else again
        inner = b"" if last else b"/Resources<</XObject<</X %d 0 R>>>>" % number
        form = b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]"
        objects.append(b"<<%b%b/Length %d>>stream\n%b\nendstream" % (form, inner, len(body), body))
    return write_pdf(objects)


def endless_jpeg(scans: int = 20_000, side: int = 8000) -> bytes:
    """A progressive JPEG whose last scan comes again and again; each goes over the whole image."""
    data = _encode(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + data[-2:]


def _bombs(context: AttackContext) -> Counter[str]:
    deep = Image.fromarray(np.zeros((9_990, 9_990), np.uint16))
    bombs: Sequence[Callable[[], bytes]] = (
        endless_jpeg,
        lambda: _encode(deep, "PNG"),
        lambda: _encode(Image.new("RGB", (12_000, 12_000)), "PNG"),
        lambda: _encode(Image.new("1", (65_000, 1_500)), "TIFF", compression="group4"),
        lambda: _encode(Image.new("RGB", (9_990, 9_990)), "WEBP", lossless=True, method=0),
        lambda: bmp_of(65_500, 1_526),
        lambda: tiff_of(1_000_000),
        lambda: jpeg_of(1_000_000),
        lambda: png_of(500_000),
    )

    def send(data: bytes, count: int = 1) -> str:
        return context.infer(
            request(Model.OCR, image_tensors(*[data] * count, task="ocr", max_tokens=2)), _BOMB_SECONDS
        )

    # each of the 64 is honest by every count
    return count_answers((bomb() for bomb in bombs), send) + Counter([send(jpeg_of_scans(100, 9_000), 64)])


def _pdf_bomb(context: AttackContext) -> Counter[str]:
    """It is left to its time limit, while documents of others go on."""
    bomb = {Tensor.FILE: bytes_tensor(laughing_pdf())}
    good = {Tensor.FILE: bytes_tensor(context.image.data)}
    with ThreadPoolExecutor(3) as pool:
        bombs = [pool.submit(context.infer, request(Model.DOCUMENT, bomb), _BOMB_SECONDS) for _ in range(3)]
        counts = count_answers(
            [good] * 5, lambda tensors: f"{context.infer(request(Model.DOCUMENT, tensors))} beside it"
        )
        return counts + Counter(bomb.result() for bomb in bombs)


def _encode(image: Image.Image, format: str, **options: Any) -> bytes:  # noqa: A002 - Pillow's own name
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


ATTACKS: Final = (
    Attack("options", "impossible values, 20,000 keys, bombs of patterns and schemas, deep JSON, no UTF-8", _options),
    Attack(
        "engine input", "patches and grids that do not match, hostile tasks, sizes, errors and options", _engine_input
    ),
    Attack("other models", "layout, document and cancel: odd pages, files, options, tokens", _other_models),
    Attack("a PDF bomb", f"a page that draws {_FAN}^{_LEVELS} squares, and good documents beside it", _pdf_bomb),
    Attack("image bombs", "JPEGs of 20,000 scans and of 100; 100 megapixels; run lengths, strips, chunks", _bombs),
)
