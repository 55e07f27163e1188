"""`ocrvl`: what its commands import, which is what one waits for, and what must be installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVER: frozenset[str] = frozenset(("torch", "vllm", "transformers", "pydantic", "paddlex", "PIL", "psutil", "fastapi"))
"""What only a server or the gateway needs."""


def imported(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {module.partition(".")[0] for module in done.stdout.splitlines()[-1].split()}


def test_what_needs_no_server_is_imported_without_grpc() -> None:
    assert not {"numpy", "grpc", "gevent", "tritonclient", *SERVER} & imported("import ocrvl_cli")


@pytest.mark.parametrize(
    "code",
    [
        "from ocrvl_cli import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n    pass",
        "import ocrvl_cli.reading.run, ocrvl_cli.reading.html, ocrvl_client\nocrvl_client.AsyncClient",
    ],
    ids=["help", "read"],
)
def test_clients_need_nothing_of_a_server(code: str) -> None:
    assert not SERVER & imported(code)
