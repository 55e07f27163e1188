"""What a Triton from the wheel needs around it to run Python models in this environment."""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ocrvl.launcher.locate import TritonInstallation

_TUNABLES: Final = "GLIBC_TUNABLES"
_KEEP_LITTLE: Final = ":".join(
    f"glibc.malloc.{name}"
    for name in ("arena_max=1", "tcache_count=0", "mmap_threshold=65536", "trim_threshold=65536", "top_pad=0")
)
"""One heap, no cache for each of 270 threads, and large blocks returned to the system: docs/decisions/0015."""


def prepare_backends(triton: TritonInstallation, folder: Path) -> Path:
    """A backend directory for `--backend-directory`.

    The wheel keeps the Python backend's stubs, one a Python version, away from the backend, which looks for its
    stub beside its library: a folder of links puts them together without writing into site-packages.
    """
    if triton.stub is None:
        return triton.backends
    python = folder / "python"
    python.mkdir(parents=True)
    for source in (
        triton.backends / "python/libtriton_python.so",
        triton.backends / "python/triton_python_backend_utils.py",
        triton.stub,
    ):
        (python / source.name).symlink_to(source)
    return folder


def build_environment(triton: TritonInstallation, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for the server: this interpreter's library, packages and binaries, before those it had.

    The stub embeds an interpreter of its own, which knows nothing of the virtual environment it serves. What this
    interpreter's `.pth` files name is in its path already, in the order in which it looks itself.
    """
    environment = dict(environ)
    libraries = [str(sysconfig.get_config_var("LIBDIR"))]
    if triton.libraries:
        libraries.append(str(triton.libraries))
    _prepend(environment, "LD_LIBRARY_PATH", libraries)
    _prepend(environment, "PYTHONPATH", [path for path in sys.path if Path(path).is_dir() and _is_site(path)])
    _prepend(environment, "PATH", [str(Path(sys.executable).parent)])
    return environment


def keep_less_freed_memory(stub: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which `tritonserver` keeps little of the memory that it has freed.

    Models keep what glibc keeps by default, since engines are slower otherwise: `stub`, the link by which their
    processes are started, becomes a script that starts them without the variable. As it was where the operator has
    settings for glibc, or where no program may be started from the link's folder.
    """
    if _TUNABLES in environment:
        return dict(environment)
    script = stub.with_suffix(".sh")
    script.write_text(f'#!/bin/sh\nunset {_TUNABLES}\nexec {shlex.quote(str(stub.resolve()))} "$@"\n', "utf-8")
    script.chmod(0o700)
    # not on a file system that is mounted without the right to execute
    if not os.access(script, os.X_OK):
        return dict(environment)
    script.replace(stub)
    return {**environment, _TUNABLES: _KEEP_LITTLE}


def _is_site(path: str) -> bool:
    """Whether a path entry holds installed packages or an editable checkout, not the standard library."""
    stdlib = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    real = Path(path).resolve()
    return real not in stdlib and real.parent not in stdlib


def _prepend(environment: dict[str, str], name: str, values: list[str]) -> None:
    old = [environment[name]] if environment.get(name) else []
    environment[name] = os.pathsep.join([*values, *old])
