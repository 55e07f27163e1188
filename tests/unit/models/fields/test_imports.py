"""What the model's process does without: seconds of a server's start, and hundreds of megabytes."""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import sys
import ocrvl.models.fields.model
from ocrvl.checkpoint import FIELDS, embedded_path
assert not {"onnxruntime", "tokenizers"} & set(sys.modules), "before a checkpoint is loaded"
ocrvl.models.fields.model.load_classifier(embedded_path(FIELDS), 1)
print(*{"torch", "transformers", "vllm", "paddlex"} & set(sys.modules))
"""


def test_no_torch_is_imported_and_what_is_heavy_only_with_a_checkpoint() -> None:
    ran = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.strip() == ""
