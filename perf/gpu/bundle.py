"""Pack vLLM, the Triton server and what they need into parts small enough to carry to a machine without a network.

The machine has torch and its CUDA libraries, see `requirements.txt`; `install.sh` puts the parts together there.

What vLLM's libraries link against (`readelf -d`): `libtorch.so`, `libtorch_cpu.so`, `libtorch_cuda.so`, `libc10.so`,
`libc10_cuda.so`, `libcudart.so.13` and, the allocator alone, `libnvrtc.so.13`, which torch 2.11.0+cu130 and the
`nvidia-*` distributions beneath it bring, and `libcuda.so.1`, which comes with the driver. They have no search path of
their own: whoever imports torch first has loaded all but NVRTC, for which `install.sh` sets `LD_LIBRARY_PATH`.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from perf.gpu.kernels import keep_kernels

_REQUIREMENTS: Final = Path(__file__).parent / "requirements.txt"
_PYTHON: Final = "3.12"
_PLATFORMS: Final = (
    *(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 26, 27, 28, 31, 34, 35)),
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
)
"""As wheels name them: pip takes each name literally."""

_VLLM_LIBRARIES: Final = (
    "vllm/_C*.so",
    "vllm/_moe_C*.so",
    "vllm/cumem_allocator*.so",
    "vllm/spinloop*.so",
    # FlashAttention 3 is what vLLM takes on Hopper for heads of 128 (text) and of 72 (images) alike
    "vllm/vllm_flash_attn/_vllm_fa3_C*.so",
)
_VLLM_TEXTS: Final = ("*.py", "*.json", "vllm/transformers_utils/*.jinja")
_TRITON: Final = (
    "pytriton/__init__.py",
    "pytriton/tritonserver/bin/*",
    "pytriton/tritonserver/backends/python/*",
    f"pytriton/tritonserver/python_backend_stubs/{_PYTHON}/*",
    "nvidia_pytriton.libs/*",
)
_TRITON_DROPPED: Final = "nvidia_pytriton.libs/libpython*"
"""Python 3.13's, for its stub alone."""
_WITH_TESTS: Final = ("numpy", "pandas", "scikit-learn", "scipy")
"""Distributions whose own tests are a good part of them."""


def main(
    output: Annotated[Path, typer.Option(help="The folder for parts, manifest and downloaded wheels.")] = Path(".gpu"),
    part_mb: Annotated[int, typer.Option(min=1, help="Megabytes of one part, at most.")] = 49,
    architecture: Annotated[
        int, typer.Option(min=0, help="The compute capability to keep vLLM's kernels for; 0 keeps all.")
    ] = 90,
) -> None:
    """Download the wheels, pack what is used of them and split the archive."""
    console = Console()
    wheels = output / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    pins = read_pins(_REQUIREMENTS.read_text())
    console.print(f"{len(pins)} distributions to {wheels}")
    download(_REQUIREMENTS, wheels)
    archive = output / "site.tar.xz"
    pack({name: find_wheel(wheels, name, version) for name, version in pins.items()}, archive, architecture)
    manifest = split(archive, output, part_mb * 1_000_000, pins)
    archive.unlink()
    copy_fonts(output / "fonts")
    for part in manifest["parts"]:
        console.print(f"{part['name']} {part['bytes'] / 1e6:.1f} MB")
    console.print(f"{manifest['archive']['bytes'] / 1e6:.1f} MB in all")


def copy_fonts(folder: Path) -> None:
    """The fonts of the images that tests draw, as far as they are installed here."""
    # here, since machines that measure have few packages
    from training.nano.fonts import WORLD_FONTS, find_font

    folder.mkdir(exist_ok=True)
    for font in WORLD_FONTS:
        if path := find_font(font):
            shutil.copy(path, folder / path.name)


def read_pins(requirements: str) -> dict[str, str]:
    r"""Versions by distribution.

    >>> read_pins("# ours\nnumpy==1.26.4\n\nzope.event==6.2 # why\n")
    {'numpy': '1.26.4', 'zope-event': '6.2'}
    """
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    pairs = (line.split("==") for line in lines if line)
    return {_normalize(name): version for name, version in pairs}


def download(requirements: Path, wheels: Path) -> None:
    """Fetch the wheels that are missing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", _PYTHON, "--implementation", "cp"]
    for platform in _PLATFORMS:
        command += ["--platform", platform]
    command += ["--dest", str(wheels), "--requirement", str(requirements)]
    subprocess.run(command, check=True)  # noqa: S603


def find_wheel(wheels: Path, name: str, version: str) -> Path:
    """The wheel of a distribution. Raises `FileNotFoundError`."""
    for wheel in sorted(wheels.glob("*.whl")):
        found, its_version, *_ = wheel.name.split("-")
        if (_normalize(found), its_version) == (name, version):
            return wheel
    raise FileNotFoundError(f"{wheels}: no wheel of {name} {version}")


def place(distribution: str, path: str) -> str | None:
    """Where in the site a wheel's file goes; None where it is left out.

    >>> place("vllm", "vllm/_C_stable_libtorch.abi3.so")
    'vllm/_C_stable_libtorch.abi3.so'
    >>> place("vllm", "vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so")
    >>> place("greenlet", "greenlet-3.3.2.data/platlib/greenlet/a.so")
    'greenlet/a.so'
    """
    parts = PurePosixPath(path).parts
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None
    if parts[0].endswith(".dist-info"):
        return path if len(parts) == 2 else None
    if distribution == "vllm":
        kept = _matches(path, *_VLLM_TEXTS, *_VLLM_LIBRARIES)
    elif distribution == "nvidia-pytriton":
        kept = _matches(path, *_TRITON) and not _matches(path, _TRITON_DROPPED)
    else:
        kept = not (distribution in _WITH_TESTS and "tests" in parts)
    return path if kept else None


def pack(wheels: Mapping[str, Path], archive: Path, architecture: int = 0) -> None:
    """Write what is kept of the wheels as one tar.xz, the same bytes from the same wheels."""
    with lzma.open(archive, "wb", preset=6) as compressed, tarfile.open(fileobj=compressed, mode="w|") as tar:
        for distribution, wheel in wheels.items():
            for path, mode, content in _read_kept(distribution, wheel):
                if architecture and distribution == "vllm" and path.endswith(".so"):
                    content = keep_kernels(content, architecture)
                member = tarfile.TarInfo(path)
                member.size = len(content)
                member.mode = mode
                tar.addfile(member, io.BytesIO(content))


def split(archive: Path, folder: Path, part_bytes: int, pins: Mapping[str, str]) -> dict[str, Any]:
    """Cut the archive into `part-00`, `part-01` and so on, in place of those there, and write `manifest.json`."""
    for old in folder.glob("part-*"):
        old.unlink()
    whole = hashlib.sha256()
    parts: list[dict[str, Any]] = []
    with archive.open("rb") as file:
        while content := file.read(part_bytes):
            whole.update(content)
            name = f"part-{len(parts):02}"
            (folder / name).write_bytes(content)
            parts.append({"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    manifest = {
        "archive": {"bytes": archive.stat().st_size, "sha256": whole.hexdigest()},
        "parts": parts,
        "distributions": dict(pins),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def _read_kept(distribution: str, wheel: Path) -> Iterator[tuple[str, int, bytes]]:
    """Path in the site, permissions and content of each file that is kept."""
    with zipfile.ZipFile(wheel) as files:
        for file in files.infolist():
            path = None if file.is_dir() else place(distribution, file.filename)
            if path is not None:
                executable = file.external_attr >> 16 & 0o111
                yield path, 0o755 if executable else 0o644, files.read(file)


def _matches(path: str, *patterns: str) -> bool:
    return any(PurePosixPath(path).match(pattern) for pattern in patterns)


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    typer.run(main)
