"""Draws the demonstration's receipt, `docs/images/receipt.png`, and writes what is printed on it beside it.

The gateway's page has it, too, and a page of a document.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from perf.harness.documents import Typesetter
from training.nano.fonts import WORLD_FONTS, load_face
from training.nano.paint import Row, paint

ROOT = Path(__file__).parent.parent
IMAGE = ROOT / "docs/images/receipt.png"
EXAMPLES = ROOT / "gateway/ocrvl_gateway/web/static/examples"

_CENTRED = ("Harbour Fish Bar", "14 Mill Lane", "23 Nov 2026 12:41")
_PRICED = (("Fish and chips", "£11.50"), ("2 Lemonade", "£6.40"), ("Soup of the day", "£4.95"), ("Total", "£22.85"))
_CLOSING = "Thank you!"
_SIZE, _PITCH, _WIDTH, _MARGIN = 20, 29, 300, 14


def main() -> None:
    """Draw them: the same every time."""
    face = load_face(WORLD_FONTS[0], _SIZE)
    rows: list[Row] = []
    for text in (*_CENTRED, *_PRICED, _CLOSING):
        row = Row(face, _MARGIN + _SIZE + len(rows) * _PITCH)
        if isinstance(text, str):
            row.add((_WIDTH - face.width(text)) / 2, text)
        else:
            row.add(_MARGIN, text[0])
            row.add(_WIDTH - _MARGIN - face.width(text[1]), text[1])
        rows.append(row)
    above_total = rows[-3].baseline + 0.35 * _SIZE
    rule = (_MARGIN, above_total, _WIDTH - _MARGIN)
    drawing = paint(Random(0), (_WIDTH, len(rows) * _PITCH + 2 * _MARGIN), rows, [rule], wear=1.0)
    IMAGE.write_bytes(drawing.png())
    IMAGE.with_suffix(".txt").write_text(f"{drawing.text}\n", "utf-8")
    (EXAMPLES / IMAGE.name).write_bytes(drawing.png())
    page = Typesetter(seed=12).page(2, columns=2, figure=True, table=True)
    page.image.convert("L").save(EXAMPLES / "page.png", optimize=True)


if __name__ == "__main__":
    main()
