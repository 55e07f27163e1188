"""`ocrvl`: what its commands import, which is what one waits for, and what must be installed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SERVER: frozenset[str] = frozenset(
    ("torch", "vllm", "transformers", "paddlex", "PIL", "psutil", "pypdfium2", "fastapi")
)
"""What only a server or the gateway needs."""


def imported(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {module.partition(".")[0] for module in done.stdout.splitlines()[-1].split()}


def test_what_needs_no_server_is_imported_without_grpc() -> None:
    assert not {"numpy", "grpc", "gevent", "tritonclient", "pydantic", *SERVER} & imported("import ocrvl_cli")


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


def test_a_client_s_machine_is_diagnosed_without_what_serves() -> None:
    without = f"sys.modules.update(dict.fromkeys({sorted(SERVER)}))"
    code = f"import sys; {without}; from ocrvl_cli import app; app()"
    done = subprocess.run([sys.executable, "-c", code, "doctor", "--json"], capture_output=True, text=True)
    assert done.stderr == ""
    assert {finding["name"] for finding in json.loads(done.stdout)} >= {"Python", "packages", "memory", "repository"}
