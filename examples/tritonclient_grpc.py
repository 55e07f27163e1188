"""Read an image with Triton's own client over gRPC: python tritonclient_grpc.py scan.png [host:port]."""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton

path, url = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "localhost:8001"


def tensor(name: str, value: bytes) -> triton.InferInput:
    """One element of bytes."""
    filled = triton.InferInput(name, [1], "BYTES")
    return filled.set_data_from_numpy(np.array([value], dtype=object))


with triton.InferenceServerClient(url) as client:
    options = json.dumps({"max_tokens": 500}).encode()
    inputs = [tensor("image", Path(path).read_bytes()), tensor("task", b"ocr"), tensor("options", options)]
    result = client.infer("ocr", inputs, client_timeout=60)

print(result.as_numpy("text")[0].decode())
print(result.as_numpy("finish_reason")[0].decode(), result.as_numpy("num_output_tokens")[0], file=sys.stderr)
