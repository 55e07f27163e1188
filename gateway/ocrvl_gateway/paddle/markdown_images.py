"""The images of a page in a request: base64 alone, and put into a document as they are, without being decoded."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from paddlex.inference.pipelines.layout_parsing.utils import construct_img_path
from PIL import Image

from ocrvl_gateway.encoding import decode_base64
from ocrvl_gateway.errors import BadRequest

MAX_PIXELS: Final = 40_000_000
"""Of an image: it is a part of a page, and a page has no more."""

_FORMATS: Final = ("JPEG", "PNG")
_LABELS: Final = frozenset({"image", "header_image", "footer_image", "seal"})
_OWN_NAME: Final = re.compile(r"imgs/(?:.*_)?(img_in_[a-z_]+_box_[-_0-9]+\.jpg)")


@dataclass(frozen=True)
class EncodedImage:
    """An encoded image that PaddleX can save."""

    data: bytes

    def save(self, path: Path) -> None:
        """Write it; Word knows an image by its bytes, whatever its name."""
        path.write_bytes(self.data)


class MarkdownImages:
    """The `markdownImages` of the page `number`. Raises `BadRequest` for what is not base64: nothing is fetched."""

    def __init__(self, encoded: Mapping[str, str], number: int) -> None:
        self.encoded = encoded
        self._location = f"pages[{number}].markdownImages"
        self._data = {name: self._decode(name, text) for name, text in encoded.items()}
        # /layout-parsing puts the page in front of the name that PaddleX makes of a block
        self._names = {own[1]: name for name in encoded if (own := _OWN_NAME.fullmatch(name))}

    def attach(self, block: Any, settings: Mapping[str, Any], *, for_docx: bool) -> None:
        """Set the image of a block of PaddleX's, where it has one; `for_docx` with its bytes, which are checked."""
        is_shown = block.label == "chart" and not settings.get("use_chart_recognition", False)
        if not is_shown and block.label not in _LABELS:
            return
        path = construct_img_path(block.label, block.bbox)
        name = path if path in self.encoded else self._names.get(path.removeprefix("imgs/"))
        if name is not None:
            block.image = {"path": name, "img": self._checked(name) if for_docx else None}

    def _decode(self, name: str, text: str) -> bytes:
        location = f"{self._location}.{name}"
        try:
            return decode_base64(_payload(text), location)
        except BadRequest as refusal:
            raise BadRequest(f"{refusal.message}; send the image itself, nothing is fetched", param=location) from None

    def _checked(self, name: str) -> EncodedImage:
        data, location = self._data[name], f"{self._location}.{name}"
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise BadRequest(f"{location}: expected a JPEG or PNG ({type(error).__name__})", param=location) from None
        if width * height > MAX_PIXELS:
            raise BadRequest(f"{location}: {width} x {height} pixels, at most {MAX_PIXELS} are taken", param=location)
        return EncodedImage(data)


def _payload(text: str) -> str:
    """The base64 text of a data URL, or the text itself."""
    kind, comma, data = text.partition(",")
    return data if comma and kind.startswith("data:") and kind.endswith(";base64") else text
