"""Files to begin from, drawn by code: small images of every format, small documents."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image


def image_files() -> Sequence[bytes]:
    """Images in every format and in the modes that are decoded differently."""
    ramp = np.arange(24 * 16, dtype=np.uint32).reshape(16, 24)
    gray = Image.fromarray((ramp % 256).astype(np.uint8))
    rgb = gray.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    png = _encode(rgb, "PNG")
    return [
        png,
        _encode(gray.convert("1"), "PNG"),
        _encode(gray.convert("LA"), "PNG"),
        _encode(rgb.convert("P"), "PNG", transparency=0),
        _encode(Image.fromarray((ramp * 100).astype(np.uint16)), "PNG"),
        _encode(rgb, "PNG", save_all=True, append_images=[gray.convert("RGB").rotate(180)]),
        _encode(rgb, "JPEG", quality=50),
        _encode(rgb, "JPEG", progressive=True, exif=exif.tobytes()),
        _encode(rgb.convert("CMYK"), "JPEG"),
        _encode(rgb, "WEBP", lossless=True),
        _encode(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)]),
        _encode(rgb, "BMP"),
        _encode(gray.convert("P"), "BMP"),
        *_tiff_files(gray),
        base64.b64encode(png),
        b"data:image/png;base64," + base64.b64encode(png),
    ]


def document_files() -> Sequence[bytes]:
    """PDFs of a few objects, TIFFs of one and of two pages, an image."""
    gray = Image.fromarray(np.arange(24 * 16, dtype=np.uint32).reshape(16, 24).astype(np.uint8))
    box = b"/MediaBox[0 0 60 40]"
    text = b"BT /F1 12 Tf 4 20 Td (Tea) Tj ET 1 0 0 rg 30 5 20 20 re f"
    font = b"/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    form = _stream(b"/Type/XObject/Subtype/Form/BBox[0 0 60 40]", b"0 0 30 30 re f")
    inline = b"q 20 0 0 20 5 5 cm BI /W 2 /H 2 /BPC 8 /CS /G ID \x00\x80\xc0\xff EI Q"
    return [
        write_pdf([_page(box + font), _stream(b"", text)]),
        write_pdf([_page(box + b"/Rotate 90/Resources<</XObject<</X 5 0 R>>>>"), _stream(b"", b"/X Do"), form]),
        write_pdf([_page(box + b"/UserUnit 2"), _stream(b"", inline)]),
        write_pdf(
            [_page(box + b"/Annots[<</Subtype/Square/Rect[1 1 9 9]/C[1 0 0]>>]"), _stream(b"", b"0 0 m 9 9 l S")]
        ),
        _encode(gray, "TIFF", save_all=True, append_images=[gray.rotate(180)]),
        *_tiff_files(gray),
        _encode(gray, "PNG"),
    ]


def write_pdf(objects: Sequence[bytes]) -> bytes:
    """A PDF of one page: these objects from number 3 on, of which the first is the page."""
    bodies = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", *objects]
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(bodies) + 1
    return data + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        *(size, table, size),
        len(data),
    )


def _page(entries: bytes) -> bytes:
    return b"<</Type/Page/Parent 2 0 R/Contents 4 0 R%b>>" % entries


def _stream(entries: bytes, body: bytes) -> bytes:
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (entries, len(body), body)


def _tiff_files(gray: Image.Image) -> Sequence[bytes]:
    return [
        _encode(gray, "TIFF"),
        _encode(gray.convert("1"), "TIFF", compression="group4"),
        _encode(gray.convert("RGB"), "TIFF", compression="tiff_lzw"),
        _encode(gray.convert("CMYK"), "TIFF", compression="tiff_adobe_deflate"),
        _encode(Image.fromarray(np.asarray(gray).astype(np.float32)), "TIFF"),
        _encode(Image.fromarray(np.asarray(gray).astype(np.int32) * 1000), "TIFF"),
    ]


def _encode(image: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002 - Pillow's own name
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
