"""Read an image with nothing but Python's standard library, in JSON: python http_json.py scan.png [host:port]."""

import base64
import json
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

path, url = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "localhost:8000"
image = base64.b64encode(Path(path).read_bytes()).decode()
body = {
    "inputs": [
        {"name": "image", "datatype": "BYTES", "shape": [1], "data": [image]},
        {"name": "task", "datatype": "BYTES", "shape": [1], "data": ["ocr"]},
    ],
    "outputs": [{"name": "text"}, {"name": "finish_reason"}],
}
request = Request(f"http://{url}/v2/models/ocr/infer", json.dumps(body).encode())
try:
    with urlopen(request, timeout=60) as response:
        answer = json.load(response)
except HTTPError as error:
    sys.exit(json.load(error)["error"])

outputs = {output["name"]: output["data"] for output in answer["outputs"]}
print(outputs["text"][0])
