"""Markdown as a page of its own: images inside it, formulas as MathML, and nothing in it that runs or loads."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Final

import nh3
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

_MATH_TAGS: Final = frozenset(
    (
        *("math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "mstyle", "msub", "msup", "msubsup", "munder", "mover"),
        *("munderover", "mfrac", "msqrt", "mroot", "mtable", "mtr", "mtd", "mpadded", "mphantom", "menclose"),
    )
)
_ATTRIBUTES: Final = {
    **nh3.ALLOWED_ATTRIBUTES,
    "math": {"display"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align"},
    "img": {"src", "alt", "width"},
    "div": {"align"},
    "mo": {"stretchy", "fence", "separator", "form"},
    "mi": {"mathvariant"},
    "mtable": {"columnalign", "rowspacing"},
}

_HEAD: Final = """<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
td, th {{ border: 1px solid #999; padding: .25rem .6rem; }}
img {{ max-width: 100%; }}
pre {{ overflow-x: auto; }}
</style>
</head>
<body>
"""


def render_page(markdown: str, title: str, images: Mapping[str, bytes]) -> str:
    """A whole HTML page; `images` are JPEG files by the names that the Markdown calls them, others are left out.

    HTML in the Markdown, such as its tables, stays; scripts, styles, event handlers and what would be loaded go.
    """
    body = nh3.clean(
        _parser().render(markdown),
        tags=nh3.ALLOWED_TAGS | _MATH_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=lambda tag, attribute, value: (
            _image(images, value) if (tag, attribute) == ("img", "src") else value
        ),
        url_schemes={"http", "https", "mailto"},
    )
    return f"{_HEAD.format(title=escape(title))}{body}\n</body>\n</html>\n"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    # a digit after the second sign is a price: $5 and $6
    dollarmath_plugin(
        parser,
        allow_digits=False,
        double_inline=True,
        renderer=lambda tex, options: _formula(tex, display=bool(options["display_mode"])),
    )
    return parser


def _formula(tex: str, *, display: bool) -> str:
    try:
        return convert(tex, display="block" if display else "inline")
    except Exception:
        # the model writes what it sees, which is not always LaTeX
        return f"<code>{escape(tex)}</code>"


def _image(images: Mapping[str, bytes], name: str) -> str | None:
    data = images.get(name)
    return None if data is None else f"data:image/jpeg;base64,{b64encode(data).decode()}"
