"""The tests with an engine that apply on a GPU, with what the machine lacks made up for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

_ENGINE: Final = (
    "tests/unit/models/engine/test_vllm_engine.py",
    "tests/unit/vllm_plugin",
    "tests/unit/structured_output/test_structured_output.py",
    "tests/contract/test_settings_docs.py",
    "tests/integration/unshared/test_gathering.py",
)
_SERVER: Final = tuple(
    f"tests/integration/{name}.py"
    for name in ("test_reading", "test_streaming", "test_admission", "test_metrics", "unshared/test_tracing")
)
_FONTS: Final = Path(".gpu/fonts")
"""Where `perf.gpu.bundle` puts the fonts of the images that tests draw."""


def main(
    arguments: Annotated[list[str] | None, typer.Argument(help="Of pytest, behind `--`.")] = None,
    server: Annotated[bool, typer.Option("--server", help="Those of the whole server too, minutes more.")] = False,
) -> None:
    """Run them; ends with pytest's exit status."""
    environment = dict(os.environ)
    if _FONTS.is_dir():
        environment.setdefault("NANO_FONTS", str(_FONTS.resolve()))
    paths = _ENGINE + (_SERVER if server else ())
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not on_a_cpu", "-p", "no:cacheprovider", *paths]
    sys.exit(subprocess.run([*command, *(arguments or [])], env=environment, check=False).returncode)  # noqa: S603


if __name__ == "__main__":
    typer.run(main)
