"""One target under libFuzzer, in a process of its own: `python -m stress.fuzz.harness TARGET libFuzzer's arguments`."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Final

import atheris

# Pillow reads headers in Python
_INSTRUMENTED: Final = ["ocrvl", "ocrvl_client", "ocrvl_gateway", "PIL", "paddlex.inference.pipelines.paddleocr_vl"]


def main() -> None:
    """Fuzz until a finding or the end of the time; libFuzzer ends the process."""
    name, *arguments = sys.argv[1:]
    # what libraries say of bad input, once for each of millions
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from stress.fuzz.target import load_target

        target = load_target(name)
    atheris.Setup([sys.argv[0], *arguments], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
