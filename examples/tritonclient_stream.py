"""Print an image's text as it is generated, over a gRPC stream: python tritonclient_stream.py scan.png [host:port]."""

import queue
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton

path, url = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "localhost:8001"
image = triton.InferInput("image", [1], "BYTES")
image.set_data_from_numpy(np.array([Path(path).read_bytes()], dtype=object))

answers: queue.Queue[tuple[triton.InferResult, Exception | None]] = queue.Queue()
with triton.InferenceServerClient(url) as client:
    # leaving the block closes the stream, and that ends generation
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer("ocr_stream", [image], enable_empty_final_response=True)
    while True:
        result, error = answers.get(timeout=60)
        if error:
            sys.exit(str(error))
        if result.get_response().parameters["triton_final_response"].bool_param:
            break
        # the last response of an image has its reason, and no piece of text
        if (piece := result.as_numpy("text")) is not None:
            print(piece[0].decode(), end="", flush=True)
print()
