"""Read a PDF page by page into Markdown with its images: python document.py report.pdf out/ [host:port]."""

import sys
from pathlib import Path

from ocrvl_client import Client, Document

path, out, url = sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "localhost:8001"

with Client(url) as client:
    for part in client.document_stream(path, dpi=144):
        if isinstance(part, Document):
            out.mkdir(parents=True, exist_ok=True)
            (out / "document.md").write_text(part.markdown)
            break
        print(f"page {part.index + 1}, {part.done} of {part.total}: {part.error or f'{len(part.blocks)} blocks'}")
        for block in part.blocks:
            if block.label == "table":
                print(*block.rows, sep="\n")
        for name, jpeg in part.images.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(jpeg)
