"""`ocrvl.files`: which kind a file is, and base64 text as other tools write it."""

from __future__ import annotations

import base64
import textwrap

import pytest

from ocrvl.files import TIFF_PREFIXES, decode_base64, decode_file, describe_unknown, is_pdf, kind_of, kind_of_sent

BYTES = bytes(range(251)) * 3
BEGINNINGS = {
    "JPEG": [b"\xff\xd8\xff\xe0\0\x10JFIF", b"\xff\xd8\xff\xdb"],
    "PNG": [b"\x89PNG\r\n\x1a\n"],
    "WebP": [b"RIFF\x24\0\0\0WEBPVP8 "],
    "BMP": [b"BM\x36\0\0\0"],
    "TIFF": list(TIFF_PREFIXES),
    "PDF": [
        b"%PDF-1.7\n",
        b"\xef\xbb\xbf%PDF-1.4\n",
        b"\r\n \n%PDF-1.4\n",
        b'--b0undary\r\nContent-Disposition: form-data; name="f"\r\n\r\n%PDF-1.4\n',
        b"\0" * 900 + b"%PDF-1.4\n",
    ],
}
FILES = [(kind, beginning + BYTES) for kind, beginnings in BEGINNINGS.items() for beginning in beginnings]


def written(data: bytes) -> dict[str, bytes]:
    """Base64 text of the same bytes as different tools write it."""
    text = base64.b64encode(data)
    lines = b"\n".join(line.encode() for line in textwrap.wrap(text.decode(), 76))
    return {
        "one line": text,
        "a line break at the end": text + b"\n",
        "lines": lines,
        "lines of MIME": lines.replace(b"\n", b"\r\n") + b"\r\n",
        "blanks in front": b"\r\n  " + text,
        "a byte order mark": b"\xef\xbb\xbf" + text,
        "no padding": text.rstrip(b"="),
        "URL-safe": base64.urlsafe_b64encode(data),
        "URL-safe without padding": base64.urlsafe_b64encode(data).rstrip(b"="),
        "a data URL": b"data:application/octet-stream;base64," + text,
        "a data URL with parameters": b"data:image/png;name=a.png;BASE64," + text,
        "a data URL with escapes": b"data:image/png;base64," + text.replace(b"+", b"%2B").replace(b"=", b"%3D"),
        "a data URL without a type": b"DATA:;base64," + lines,
    }


@pytest.mark.parametrize(("kind", "data"), FILES, ids=[repr(data[:16]) for _, data in FILES])
def test_a_file_is_known_by_how_it_begins_raw_and_as_any_base64_text(kind: str, data: bytes) -> None:
    assert kind_of(data) == kind
    assert decode_file(data) is data
    for length in range(3):
        # so that there are one, two and no characters of padding
        for name, text in written(data + bytes(length)).items():
            assert (name, kind_of_sent(text), decode_file(text)) == (name, kind, data + bytes(length))


@pytest.mark.parametrize("name", written(b""))
def test_base64_text_of_anything_is_decoded_where_it_is_sure_to_be_that(name: str) -> None:
    assert decode_base64(written(BYTES)[name]) == BYTES


@pytest.mark.parametrize("text", [b"!", b"iVBORw0KGgo!!!!", b"abc=d", b"a", b"data:image/png,abcd", b"data:image/png"])
def test_what_is_no_base64_text_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"base64|padding|character|[Ii]ncorrect"):
        decode_base64(text)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"Qk is a word", b"BMW sells cars", b"\x00\x01", b"=" * 50, b"-_" * 999]
)
def test_what_begins_like_no_known_file_is_left_as_it_is(data: bytes) -> None:
    assert decode_file(data) == data


def test_text_that_begins_as_a_known_file_and_breaks_off_is_said_to() -> None:
    with pytest.raises(ValueError, match="it begins as base64 text but is not"):
        decode_file(base64.b64encode(FILES[0][1])[:99] + b"?" * 30)


def test_an_image_that_speaks_of_a_pdf_is_an_image() -> None:
    image = b"\x89PNG\r\n\x1a\n" + b"%PDF-1.7"
    assert (kind_of(image), is_pdf(image)) == ("PNG", False)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PK\x03\x04", "a ZIP archive, as docx"),
        (b"\xd0\xcf\x11\xe0\xa1", "an old Office document"),
        (b"\0\0\0\x18ftypheic\0", "HEIC or AVIF"),
        (b"\0\0\0\x18ftypisom\0", "a video"),
        (b"\n <!DOCTYPE html>", "HTML"),
        (b"%!PS-Adobe", "PostScript"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
def test_what_people_send_by_mistake_is_named(data: bytes, kind: str) -> None:
    assert kind in describe_unknown(data)
