"""Where the `tritonserver` binary, its Python backend and our model repository are."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from ctypes.util import find_library
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

_CONTAINER = Path("/opt/tritonserver")
"""Where NVIDIA's images have the server."""


class TritonNotFound(Exception):
    """No Triton server that works was found on this machine; the message says how to get one."""


@dataclass(frozen=True)
class TritonInstallation:
    """A Triton server: its binary and, for the one from the wheel, what the Python backend needs beside it.

    `stub` is None where the Python backend is complete as it is (in a container).
    """

    binary: Path
    backends: Path
    libraries: Path | None = None
    stub: Path | None = None


def find_triton() -> TritonInstallation:
    """The container's server, one on the PATH, or the one in the `nvidia-pytriton` wheel, in this order.

    Raises `TritonNotFound`.
    """
    on_path = shutil.which("tritonserver")
    for binary in (_CONTAINER / "bin/tritonserver", Path(on_path) if on_path else None):
        if binary and binary.is_file():
            return TritonInstallation(binary, binary.resolve().parent.parent / "backends")
    spec = find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise TritonNotFound(
            "no Triton server found: run in NVIDIA's Triton container, or install the server from its wheel "
            "with `pip install nvidia-pytriton==0.7.0`"
        )
    root = Path(spec.origin).parent / "tritonserver"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = root / "python_backend_stubs" / python / "triton_python_backend_stub"
    if not stub.is_file():
        have = ", ".join(sorted(path.name for path in (root / "python_backend_stubs").iterdir()))
        raise TritonNotFound(f"nvidia-pytriton has no Python backend for Python {python} (it has {have})")
    _check_numpy()
    _check_python_library(python)
    libraries = root.parent.parent / "nvidia_pytriton.libs"
    return TritonInstallation(root / "bin/tritonserver", root / "backends", libraries, stub)


def _check_numpy() -> None:
    """The stubs of Triton 2.51 were built for NumPy 1: with NumPy 2 numbers arrive empty, without an error."""
    installed = version("numpy")
    if int(installed.partition(".")[0]) >= 2:
        raise TritonNotFound(
            f"NumPy {installed} is installed, and the Triton server of nvidia-pytriton needs NumPy 1: "
            "pip install 'numpy<2'"
        )


def _check_python_library(python: str) -> None:
    """The stub embeds Python, so it needs Python's library, which some builds of Python do not have."""
    name = f"libpython{python}.so.1.0"
    if not (Path(sysconfig.get_config_var("LIBDIR")) / name).is_file() and find_library(f"python{python}") is None:
        raise TritonNotFound(
            f"this Python has no shared library ({name}), which Triton's Python backend needs: "
            f"install libpython{python}, or a Python built with --enable-shared"
        )


def find_model_repository() -> Path:
    """The model repository that comes with this package, from a wheel or from a checkout."""
    package = Path(__file__).parent.parent
    for candidate in (package / "model_repository", package.parent.parent / "model_repository"):
        if candidate.is_dir():
            return candidate
    raise TritonNotFound("the model repository is missing from this installation of ocrvl: install it again")
