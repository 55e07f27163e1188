"""The card of a quantised checkpoint: what was made of what, and what it costs, as far as it was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ocrvl.quantization.layers import Parts
from ocrvl.quantization.schemes import Scheme

BEGIN: Final = "<!-- measured -->"
END: Final = "<!-- end of measured -->"
_UNMEASURED: Final = "Not measured: `ocrvl quantize` does with `--measure`, on images and texts of yours."

_WORDS: Final = {
    Scheme.FP8: "weights and activations in FP8 (E4M3), a scale for each output channel and each token",
    Scheme.INT8: "weights and activations in 8-bit integers, a scale for each output channel and each token",
    Scheme.W4A16: "weights in 4-bit integers, a scale for 32 of them; activations as they were",
}


def write_card(
    path: Path, source: str, scheme: Scheme, parts: Parts, total: tuple[int, int], linear: tuple[int, int]
) -> None:
    """Write a card without figures of quality; `total` and `linear` are bytes before and after."""
    which = "the text model's and the vision encoder's" if parts is Parts.ALL else "the text model's"
    rows = [("all weights", total), ("layers that are quantised", linear)]
    table = "\n".join(f"| {name} | {old:,} | {new:,} | {new / old:.3f} |" for name, (old, new) in rows)
    path.write_text(
        f"""# {source}, quantised: {scheme}

Made by `ocrvl quantize` of {source} without data: {which} linear layers have
{_WORDS[scheme]}.
Embeddings, projector, norms and head are as they were. The format is that of compressed-tensors.

| | bytes before | after | ratio |
| --- | --: | --: | --: |
{table}

{BEGIN}
{_UNMEASURED}
{END}
""",
        "utf-8",
    )
