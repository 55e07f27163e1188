"""Documents that others have made, end to end: `python -m stress documents`.

Debian's manuals as PDF and a scanned page as an image, from Debian's packages and PyPI into a temporary folder. What
nano reads in them is not the point: pages, blocks, seconds and memory are.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import psutil
import typer

from ocrvl_client import Client, Page
from perf.figures.data import Column, Figures, Table, Value
from perf.figures.new import Output, keep, new_figures
from perf.harness.server import start_server
from stress.console import make_console

_PACKAGES: Final = ("debian-policy", "developers-reference", "maint-guide", "debian-faq")
_SCAN: Final = "skimage/data/page.png"
_TABLE: Final = Table(
    rows=("document",),
    columns=(
        Column(title="document", value="document"),
        Column(title="pages", value="pages"),
        Column(title="of", value="of"),
        Column(title="blocks", value="blocks"),
        Column(title="failed", value="failed"),
        Column(title="pages a second", value="pages_per_second", format=".2f"),
        Column(title="memory at most", value="peak_mib", format=".0f", unit=" MiB"),
    ),
)


def main(
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of a block, at most.")] = 8,
    most: Annotated[int, typer.Option(min=1, help="Pages of each document.")] = 60,
    output: Output = None,
) -> None:
    """Fetch the documents, read them and print what became of them."""
    console = make_console()
    records = []
    with tempfile.TemporaryDirectory(prefix="ocrvl-real-") as name:
        files = [*_manuals(Path(name)), *_scan(Path(name))]
        with start_server() as server:
            root = psutil.Process(server.pid)
            with Client(server.grpc_url, timeout=3600) as client:
                for file in files:
                    console.print(f"reading {file.name}, {file.stat().st_size / 1e6:.1f} MB")
                    records.append(_read(client, root, file, tokens, most))
    keep("documents", to_figures(records, tokens), console, output=output)
    raise typer.Exit(1 if any(record["failed"] or not record["pages"] for record in records) else 0)


def to_figures(records: Sequence[Mapping[str, Value]], tokens: int) -> Figures:
    """A record for each document."""
    return new_figures(
        question="How are documents read that others have made?",
        rounds=1,
        conditions=f"{tokens} tokens of a block at most; memory is of all processes of the server together.",
        measurements=records,
        tables={"documents": _TABLE},
    )


def _read(client: Client, root: psutil.Process, file: Path, tokens: int, most: int) -> dict[str, Value]:
    began, peak, pages = time.perf_counter(), 0, []
    stream = client.document_stream(file, max_new_tokens=tokens)
    for part in stream:
        if not isinstance(part, Page):
            break
        pages.append(part)
        peak = max(peak, _memory(root))
        if len(pages) == most:
            break
    stream.close()
    seconds = time.perf_counter() - began
    blocks = [block for page in pages for block in page.content.get("parsing_res_list", [])]
    return {
        "document": file.name,
        "pages": len(pages),
        "of": pages[-1].total if pages else 0,
        "blocks": len(blocks),
        "failed": sum(bool(page.error) for page in pages) + sum("error" in block for block in blocks),
        "pages_per_second": len(pages) / seconds,
        "peak_mib": peak / 2**20,
    }


def _memory(root: psutil.Process) -> int:
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def _manuals(folder: Path) -> Iterator[Path]:
    """The PDFs of Debian's packages, unpacked."""
    for package in _PACKAGES:
        fetched = subprocess.run(
            ["apt-get", "download", "-qq", package],  # noqa: S607
            cwd=folder,
            check=False,
        )
        if fetched.returncode:
            raise SystemExit(f"{package} could not be fetched: run `make install` and try again")
        (deb,) = folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", deb.name, package], cwd=folder, check=True)  # noqa: S607
        for path in sorted((folder / package).rglob("*.pdf*")):
            if path.is_symlink():
                continue
            if path.suffix == ".gz":
                path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
                yield path.with_suffix("")
            else:
                yield path


def _scan(folder: Path) -> Iterator[Path]:
    """The scanned page that scikit-image carries."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--dest",
        str(folder),
        "scikit-image==0.25.2",
    ]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("scikit_image-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        yield Path(archive.extract(_SCAN, folder))
