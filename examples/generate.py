"""Triton's /generate and /generate_stream, one field a tensor: python generate.py scan.png [host:port]."""

import base64
import json
import sys
from pathlib import Path
from urllib.request import Request, urlopen

path, url = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "localhost:8000"
body = {
    "image": base64.b64encode(Path(path).read_bytes()).decode(),
    "task": "ocr",
    "options": json.dumps({"max_tokens": 500}),
}

whole = Request(f"http://{url}/v2/models/ocr/generate", json.dumps(body).encode())
with urlopen(whole, timeout=60) as response:
    print(json.load(response)["text"])

# the same as it is generated: server-sent events, a line each
pieces = Request(f"http://{url}/v2/models/ocr_stream/generate_stream", json.dumps(body).encode())
with urlopen(pieces, timeout=60) as response:
    for line in response:
        if line.startswith(b"data: "):
            print(json.loads(line[6:]).get("text", ""), end="", flush=True)
print()
