"""Read a folder of images, 32 in flight, a text beside each: python thousand_files.py scans/ [host:port]."""

import asyncio
import sys
from pathlib import Path

from ocrvl_client import AsyncClient

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


async def main(folder: str, url: str = "localhost:8001") -> int:
    """How many could not be read."""
    failed = 0
    # opened and sent as there is room for them, so that it may be a million
    images = (path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    async with AsyncClient(url) as client:
        async for outcome in client.read_many(images, concurrency=32, ordered=False):
            path = Path(str(outcome.source))
            if outcome.error is None:
                path.with_name(f"{path.name}.txt").write_text(outcome.result().text)
            else:
                failed += 1
                print(f"{path}: {outcome.error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])) > 0)
