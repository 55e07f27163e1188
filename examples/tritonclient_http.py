"""Read images in one request, with Triton's own client over HTTP, as binary tensors.

python tritonclient_http.py localhost:8000 scan.png photo.jpg
"""

import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton

url, *paths = sys.argv[1:]
image = triton.InferInput("image", [len(paths)], "BYTES")
image.set_data_from_numpy(np.array([Path(path).read_bytes() for path in paths], dtype=object), binary_data=True)
options = triton.InferInput("options", [1], "BYTES")
# an image that cannot be read fails alone
options.set_data_from_numpy(np.array([b'{"on_error": "keep"}'], dtype=object))

with triton.InferenceServerClient(url, network_timeout=60) as client:
    result = client.infer("ocr", [image, options])

for path, text, error in zip(paths, result.as_numpy("text"), result.as_numpy("error"), strict=True):
    print(f"{path}: {error.decode() or text.decode()}")
