"""`perf.gpu`: what of a wheel is packed, how the archive is cut, and how a machine puts it together."""

from __future__ import annotations

import json
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from random import Random

import pytest

from perf.gpu import bundle, kernels

INSTALL = Path(bundle.__file__).parent / "install.sh"
PTX, CUBIN = 1, 2


def make_wheel(folder: Path, name: str, files: dict[str, bytes], executable: str = "") -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in files.items():
            info = zipfile.ZipInfo(file)
            info.external_attr = (0o755 if file == executable else 0o644) << 16
            wheel.writestr(info, content)
    return path


def make_library(*containers: list[tuple[int, int, bytes]]) -> bytes:
    """A 64-bit ELF file with nothing in it but GPU code: kind, compute capability and code of each entry."""
    code = b""
    for entries in containers:
        content = b"".join(
            struct.pack("<HHIQIIHHI", kind, 1, 64, len(binary), 0, 0, 0, 0, capability).ljust(64, b"\0") + binary
            for kind, capability, binary in entries
        )
        code += struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(content)) + content
    names = b"\0.nv_fatbin\0.shstrtab\0"
    start = 64 + len(code) + len(names)
    header = (b"\x7fELF\x02".ljust(0x28, b"\0") + struct.pack("<Q", start)).ljust(0x3A, b"\0")
    header += struct.pack("<HHH", 64, 3, 2)
    sections = ((0, 0, 0), (1, 64, len(code)), (12, 64 + len(code), len(names)))
    table = b"".join(struct.pack("<IIQQQQ", name, 1, 0, 0, at, size).ljust(64, b"\0") for name, at, size in sections)
    return header + code + names + table


def install(arrived: Path, target: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "OCRVL_GPU_BUNDLE": str(arrived),
        "OCRVL_GPU_TARGET": str(target),
        "OCRVL_GPU_PACKAGES": str(arrived),
        "PYTHON": sys.executable,
    }
    return subprocess.run([INSTALL], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A bundle of one distribution in parts of 1,000 bytes."""
    output = tmp_path / "bundle"
    output.mkdir()
    noise = Random(0).randbytes(3000)  # what does not compress
    wheel = make_wheel(
        output, "there", {"there/__init__.py": b"", "there/run": noise, "there/text": b"a"}, executable="there/run"
    )
    bundle.pack({"there": wheel}, output / "site.tar.xz")
    bundle.split(output / "site.tar.xz", output, 1000, {"there": "1.0"})
    return output


@pytest.mark.parametrize(
    ("distribution", "path", "placed"),
    [
        ("vllm", "vllm/v1/engine/core.py", True),
        ("vllm", "vllm/model_executor/layers/fused_moe/configs/a.json", True),
        ("vllm", "vllm/_C_stable_libtorch.abi3.so", True),
        ("vllm", "vllm/_moe_C_stable_libtorch.abi3.so", True),
        ("vllm", "vllm/cumem_allocator.abi3.so", True),
        ("vllm", "vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so", True),
        ("vllm", "vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so", False),
        ("vllm", "vllm/_flashmla_C.abi3.so", False),
        ("vllm", "vllm/third_party/deep_gemm/_C.cpython-312-x86_64-linux-gnu.so", False),
        ("vllm", "vllm/third_party/deep_gemm/include/cute/a.hpp", False),
        ("vllm", "vllm/vllm-rs", False),
        ("vllm", "vllm-0.24.0.dist-info/METADATA", True),
        ("vllm", "vllm-0.24.0.dist-info/licenses/LICENSE", False),
        ("nvidia-pytriton", "pytriton/__init__.py", True),
        ("nvidia-pytriton", "pytriton/triton.py", False),
        ("nvidia-pytriton", "pytriton/tritonserver/bin/tritonserver", True),
        ("nvidia-pytriton", "pytriton/tritonserver/backends/python/libtriton_python.so", True),
        ("nvidia-pytriton", "pytriton/tritonserver/python_backend_stubs/3.12/triton_python_backend_stub", True),
        ("nvidia-pytriton", "pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub", False),
        ("nvidia-pytriton", "nvidia_pytriton.libs/libssl-57118d4e.so.3", True),
        ("nvidia-pytriton", "nvidia_pytriton.libs/libpython3-419a3a08.13.so.1.0", False),
        ("scipy", "scipy/linalg/tests/test_basic.py", False),
        ("paddlex", "paddlex/tests/a.py", True),
        ("dill", "dill-0.4.1.data/scripts/undill", False),
    ],
)
def test_what_is_used_is_packed(distribution: str, path: str, placed: bool) -> None:
    assert bundle.place(distribution, path) == (path if placed else None)


def test_every_pin_is_exact_and_the_engine_is_the_one_named() -> None:
    pins = bundle.read_pins((INSTALL.parent / "requirements.txt").read_text())
    assert pins["vllm"] == "0.24.0"
    assert pins["numpy"].startswith("1.")
    assert all(version and not set(version) & set("<>=!~*, ") for version in pins.values())


def test_a_wheel_is_found_by_its_name_in_any_spelling(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "zope_event", {})
    assert bundle.find_wheel(tmp_path, "zope-event", "1.0") == wheel
    with pytest.raises(FileNotFoundError, match="zope-event 2"):
        bundle.find_wheel(tmp_path, "zope-event", "2.0")


def test_parts_add_up_and_the_manifest_says_what_they_are(packed: Path) -> None:
    manifest = json.loads((packed / "manifest.json").read_text())
    parts = [(packed / part["name"]).read_bytes() for part in manifest["parts"]]
    assert [len(part) for part in parts[:-1]] == [1000] * (len(parts) - 1)
    assert len(parts) > 2
    assert b"".join(parts) == (packed / "site.tar.xz").read_bytes()
    assert manifest["distributions"] == {"there": "1.0"}


def test_parts_of_an_older_bundle_go(packed: Path) -> None:
    bundle.split(packed / "site.tar.xz", packed, 10_000, {})
    assert [path.name for path in packed.glob("part-*")] == ["part-00"]


def test_the_archive_is_the_same_from_the_same_wheels(packed: Path) -> None:
    wheels = {"there": packed / "there-1.0-py3-none-any.whl"}
    bundle.pack(wheels, packed / "again.tar.xz")
    assert (packed / "again.tar.xz").read_bytes() == (packed / "site.tar.xz").read_bytes()


def test_only_the_kernels_of_one_gpu_are_packed(tmp_path: Path) -> None:
    library = make_library([(CUBIN, 80, b"ampere.."), (CUBIN, 90, b"hopper..")])
    wheel = make_wheel(tmp_path, "vllm", {"vllm/_C.so": library, "vllm/_C.py": b"ampere.."})
    bundle.pack({"vllm": wheel}, tmp_path / "site.tar.xz", 90)
    with tarfile.open(fileobj=lzma.open(tmp_path / "site.tar.xz")) as archive:
        contents = {member.name: archive.extractfile(member) for member in archive}
    packed, text = contents["vllm/_C.so"], contents["vllm/_C.py"]
    assert packed is not None
    assert text is not None
    assert packed.read() == library.replace(b"ampere..", bytes(8))
    assert text.read() == b"ampere.."


def test_ptx_stays_where_there_is_no_machine_code() -> None:
    library = make_library(
        [(PTX, 80, b"ptx 80.."), (CUBIN, 80, b"cubin 80"), (PTX, 120, b"ptx 120.")],
        [(PTX, 90, b"ptx 90.."), (CUBIN, 90, b"cubin 90"), (CUBIN, 100, b"cubin100")],
        [(CUBIN, 100, b"another.")],
    )
    kept = kernels.keep_kernels(library, 90)
    assert len(kept) == len(library)
    gone = [code for code in (b"cubin 80", b"ptx 120.", b"ptx 90..", b"cubin100", b"another.") if code in kept]
    assert gone == []
    assert b"ptx 80.." in kept
    assert b"cubin 90" in kept


def test_unknown_gpu_code_is_refused() -> None:
    library = make_library([(CUBIN, 80, b"ampere..")])
    with pytest.raises(kernels.UnknownFormat, match="no container"):
        kernels.keep_kernels(library.replace(struct.pack("<I", 0xBA55ED50), bytes(4)), 90)
    with pytest.raises(kernels.UnknownFormat, match="ends at"):
        kernels.keep_kernels(library.replace(struct.pack("<Q", 8), struct.pack("<Q", 16)), 90)
    with pytest.raises(kernels.UnknownFormat, match="ELF"):
        kernels.keep_kernels(b"MZ", 90)


def test_parts_come_one_at_a_time_and_are_put_together(packed: Path, tmp_path: Path) -> None:
    arrived, target = tmp_path / "arrived", tmp_path / "target"
    arrived.mkdir()
    parts = sorted(packed.glob("part-*"))
    (packed / "manifest.json").rename(arrived / "manifest.json")
    for number, part in enumerate(parts[:-1]):
        part.rename(arrived / part.name)
        told = install(arrived, target)
        assert told.returncode == 3, told.stderr
        assert f"missing: {' '.join(later.name for later in parts[number + 1 :])}" in told.stdout
        (arrived / part.name).unlink()
    parts[-1].rename(arrived / parts[-1].name)
    told = install(arrived, target)
    assert told.returncode == 0, told.stderr
    site = target / "site"
    assert (site / "there/run").read_bytes() == Random(0).randbytes(3000)
    assert os.access(site / "there/run", os.X_OK)
    assert not os.access(site / "there/text", os.X_OK)
    (plugin,) = (
        entry
        for found in distributions(path=[str(site)])
        for entry in found.entry_points.select(group="vllm.general_plugins")
    )
    assert (plugin.name, plugin.value) == ("ocrvl", "ocrvl.vllm_plugin:register")
    shown = subprocess.run(
        ["bash", "-c", f"PYTHONPATH=/before; . {target}/env.sh; echo $PYTHONPATH"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    repository = INSTALL.parents[2]
    paths = [*map(str, (site, repository / "backend", repository / "client", repository / "cli", repository))]
    assert shown.split(":") == [*paths, "/before"]
    # for an interpreter that does not look at PYTHONPATH
    assert (arrived / "ocrvl-gpu.pth").read_text() == f"import sys; sys.path[:0] = {paths}\n"


def test_installing_again_unpacks_nothing(packed: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert install(packed, target).returncode == 0
    (target / "site/there/text").write_text("touched")
    for part in packed.glob("part-*"):
        part.unlink()
    again = install(packed, target)
    assert again.returncode == 0, again.stderr
    assert "unpacked" not in again.stdout
    assert (target / "site/there/text").read_text() == "touched"


def test_another_bundle_takes_the_place_of_the_first(packed: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert install(packed, target).returncode == 0
    wheel = make_wheel(tmp_path, "other", {"other/__init__.py": b""})
    bundle.pack({"other": wheel}, packed / "site.tar.xz")
    bundle.split(packed / "site.tar.xz", packed, 1000, {})
    assert install(packed, target).returncode == 0
    assert (target / "site/other").is_dir()
    assert not (target / "site/there").exists()


def test_a_damaged_part_is_refused(packed: Path, tmp_path: Path) -> None:
    part = packed / "part-01"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    told = install(packed, tmp_path / "target")
    assert told.returncode == 1
    assert "part-01 is damaged" in told.stderr
    assert not (tmp_path / "target/site").exists()


def test_a_part_damaged_after_its_arrival_is_refused(packed: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    last = max(packed.glob("part-*"))
    last.rename(tmp_path / last.name)
    assert install(packed, target).returncode == 3
    kept = next((target / "parts").iterdir())
    kept.write_bytes(b"?")
    (tmp_path / last.name).rename(last)
    told = install(packed, target)
    assert told.returncode == 1
    assert "do not add up" in told.stderr
    assert not (target / "site").exists()


def test_nothing_arrived(tmp_path: Path) -> None:
    told = install(tmp_path, tmp_path / "target")
    assert told.returncode == 1
    assert "no manifest.json" in told.stderr


def test_what_runs_on_a_gpu_imports_neither_the_command_line_nor_what_draws_images() -> None:
    """The machine has few packages; `curves` is run where the project has its own."""
    elsewhere = ("__init__", "curves")
    names = [path.stem for path in Path(bundle.__file__).parent.glob("*.py") if path.stem not in elsewhere]
    absent = ("ocrvl_cli", "ocrvl_gateway", "stress", "training", "tools", "matplotlib")
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module('perf.gpu.' + name)\n"
        f"print([name for name in {absent} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
