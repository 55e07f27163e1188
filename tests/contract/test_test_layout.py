"""How the tests are laid out: what they share lies in tests/support, and they mirror packages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = sorted(Path("tests").rglob("*.py"))
UNIT = Path("tests/unit")
SOURCES = (Path("backend/ocrvl"), Path())
"""Where the folders of tests/unit have their package; modules of `ocrvl` itself are tested in `backend`."""

OTHERS = {"backend": Path("backend/ocrvl"), "cli": Path("cli/ocrvl_cli")}
OTHERS |= {name: Path(f"{name}/ocrvl_{name}") for name in ("client", "gateway", "receipts")}


STARTERS = (
    "perf.harness.serve_process.ServeProcess",
    "perf.harness.server.start_server",
    "perf.harness.vllm_server.build_command",
    "tests.support.small",
    "vllm.AsyncLLMEngine",
    "vllm.LLM",
    "vllm.LLMEngine",
    "vllm.entrypoints",
    "vllm.v1.engine.async_llm",
    "vllm.v1.engine.core",
    "vllm.v1.engine.llm_engine",
)
"""What a real server or a real engine is started with; modules with all that they have."""

TRITON = "ocrvl.launcher.server.TritonServer"
STAND_INS = {Path("tests/unit/launcher/test_extras.py"), Path("tests/unit/launcher/test_launcher.py")}
"""Where it is refused before it starts, or a script of the test stands in for Triton's program."""


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


@pytest.mark.parametrize("path", TESTS, ids=str)
def test_no_test_imports_another(path: Path) -> None:
    others = ("tests.unit", "tests.integration", "tests.contract")
    assert not [name for name in imported(path) if name.startswith(others)], "what tests share lies in tests/support"


@pytest.mark.parametrize("path", [path for path in TESTS if path.is_relative_to(UNIT)], ids=str)
def test_no_unit_test_starts_a_real_server_or_engine(path: Path) -> None:
    forbidden = STARTERS if path in STAND_INS else (*STARTERS, TRITON)
    found = [name for name in imported(path) if f"{name}.".startswith(tuple(f"{one}." for one in forbidden))]
    assert not found, "what needs a real one is a test of tests/integration"


@pytest.mark.parametrize(
    "folder", [path for path in sorted(UNIT.iterdir()) if path.is_dir()], ids=lambda path: path.name
)
def test_a_folder_of_unit_tests_is_named_after_a_package(folder: Path) -> None:
    homes = [OTHERS[folder.name]] if folder.name in OTHERS else [source / folder.name for source in SOURCES]
    assert any(home.is_dir() for home in homes)


def test_the_tests_that_run_with_several_versions_of_vllm_exist() -> None:
    _, _, rest = Path("Makefile").read_text("utf-8").partition("ENGINE_TESTS := ")
    words = rest.partition("\nSYSTEM_PACKAGES")[0].replace("\\\n", " ").split()
    assert len(words) > 5
    assert [word for word in words if not Path(word).exists()] == []
