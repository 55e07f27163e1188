"""What has nothing to be read: blank paper, lines, shapes, stains; the answer is empty."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageFilter

from training.mini.world.sheet import Sheet


def print_nothing(sheet: Sheet, rng: Random) -> str:
    """Nothing, or shapes that are no text."""
    kind = rng.choice(("blank", "rules", "shapes", "cloud"))
    width, height = sheet.width, sheet.height
    if kind == "rules":
        for _ in range(rng.randint(1, 6)):
            y = rng.randrange(height)
            sheet.rule(rng.randrange(width), y, rng.randrange(width), y, rng.randint(1, 3))
    elif kind == "shapes":
        for _ in range(rng.randint(1, 5)):
            (left, right), (top, bottom) = (
                sorted((rng.randrange(side), rng.randrange(side))) for side in (width, height)
            )
            draw = rng.choice((sheet.pen.ellipse, sheet.pen.rectangle))
            draw(
                (left, top, right, bottom), fill=rng.choice((None, rng.randint(20, 220))), outline=rng.randint(60, 255)
            )
    elif kind == "cloud":
        coarse = np.array([rng.randrange(256) for _ in range(64)], np.uint8).reshape(8, 8)
        cloud = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        sheet.ink.paste(cloud.filter(ImageFilter.GaussianBlur(2)))
    return ""
