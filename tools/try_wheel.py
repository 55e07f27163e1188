"""Installs a wheel into an empty environment and says whether what it promises there holds.

    python -m tools.try_wheel dist/ocrvl-0.1.0-py3-none-any.whl build/wheel -- --default-index https://example.org/simple

What follows `--` goes to `uv pip install`. The base must bring the client and the command line without an engine, and
programs against it must be typed. The environment stays, for `make sbom`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

_PROGRAMS: Final = ("examples/document.py", "examples/thousand_files.py")
_HEAVY: Final = ("vllm", "torch", "transformers", "paddlex", "nvidia-pytriton")
_TYPED: Final = ("ocrvl", "ocrvl_client", "ocrvl_gateway", "ocrvl_receipts")
_DATA: Final = (
    "checkpoints/fields/config.json",
    "checkpoints/nano/config.json",
    "model_repository/ocr/config.pbtxt",
    "model_repository/paddleocr_vl/1/model.py",
)
_BIN: Final = Path(sys.executable).parent


def main(
    wheel: Annotated[Path, typer.Argument(help="The wheel.", exists=True)],
    environment: Annotated[Path, typer.Argument(help="Where the environment is made; what is there is removed.")],
    more: Annotated[list[str] | None, typer.Argument(help="After --: more arguments for uv.")] = None,
) -> None:
    """Install, and look."""
    python = _install(wheel, environment.absolute(), more or [])
    _check_command(python.with_name("ocrvl"))
    _check_packages(python)
    _check_types(python)
    size = wheel.stat().st_size / 2**20
    print(f"{wheel.name}, {size:.1f} MiB: installed alone, its commands start, it is typed, and no engine came with it")


def _install(wheel: Path, environment: Path, more: list[str]) -> Path:
    """The interpreter of a new environment with nothing but the wheel and what it asks for."""
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    subprocess.run([_BIN / "uv", "venv", "--quiet", "--clear", "--python", base, environment], check=True)
    python = environment / "bin/python"
    subprocess.run([_BIN / "uv", "pip", "install", "--quiet", "--python", python, *more, wheel], check=True)
    return python


def _check_command(ocrvl: Path) -> None:
    """`ocrvl` knows its version and its commands, without a server and without the extras."""
    said = subprocess.run([ocrvl, "--version"], capture_output=True, text=True, check=True).stdout
    if said.split() != ["ocrvl", version("ocrvl")]:
        raise typer.BadParameter(f"{ocrvl.name} --version says {said.strip()!r}, expected {version('ocrvl')}")
    for command in ("read", "serve", "repository", "probe", "doctor", "receipts"):
        subprocess.run([ocrvl, command, "--help"], stdout=subprocess.DEVNULL, check=True)


def _check_packages(python: Path) -> None:
    """No engine came with the base, each package says that it is typed, and the server's data are in it."""
    found = f"""
from importlib.metadata import distributions, files
heavy = {set(_HEAVY)} & {{one.metadata["Name"].lower() for one in distributions()}}
assert not heavy, heavy
names = {{str(file) for file in files("ocrvl")}}
missing = [one for one in {_TYPED} if f"{{one}}/py.typed" not in names]
missing += [one for one in {_DATA} if f"ocrvl/{{one}}" not in names]
assert not missing, missing
"""
    subprocess.run([python, "-I", "-c", found], check=True)


def _check_types(python: Path) -> None:
    """Programs against the installed client hold by mypy's strictest rules, outside this checkout."""
    with tempfile.TemporaryDirectory(prefix="types-") as folder:
        command = [str(_BIN / "mypy"), "--strict", "--python-executable", str(python), "--cache-dir", folder]
        programs = [str(Path(program).resolve()) for program in _PROGRAMS]
        subprocess.run([*command, *programs], cwd=folder, check=True)


if __name__ == "__main__":
    typer.run(main)
