"""Imports run one way.

Between the packages that are shipped (`MAY_IMPORT`):

    model_repository → ocrvl → nothing
    ocrvl_cli → ocrvl_receipts, ocrvl_gateway, ocrvl_client, ocrvl
    ocrvl_receipts → ocrvl_client, of ocrvl_gateway what is HTTP and settings alone, of ocrvl: validation
    ocrvl_gateway → ocrvl_client, and of ocrvl what is light: wire, files, prompts, page_markdown, schemas, validation
    ocrvl_client → of ocrvl what imports nothing: wire, address, local_keys

None of them imports perf, stress, training, tools or tests. Within ocrvl, each imports only what stands below it
(`LAYERS`), and packages in one line do not import each other:

    repository
    launcher
    models/{cancel, document, engine, fields, layout, preprocess, receipt, stream}
    what the models share
    triton
    control_channel, engine_settings, metrics
    messages, page_markdown, postprocess, prompts
    imaging, options, settings
    adapters, errors, files, markup, quantization, structured_output, vllm_plugin
    address, checkpoint, local_keys, processes, restart, schemas, validation, wire

and within ocrvl_gateway:

    serve
    app
    health, middleware, openai, paddle, protocol, receipts, web
    dependencies, disconnect, encoding, json_body, openapi, server_sent_events
    fetch, metrics, problems, reader
    errors, settings
    command_settings

and within ocrvl_receipts:

    dlq
    front, worker
    kafka, reader, store
    events
    notifications
    objects
    errors, metrics, settings, trace

What is done before Triton runs (`repository`, `launcher`) imports nothing that runs within it. Only `triton` imports
Triton's `triton_python_backend_utils`, only the engine's adapter and the plugin import vLLM. Names that begin with an
underscore are imported by their own package alone, and by what tests its parts. Nowhere do modules or packages beside
each other import each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.imports import Import, find_circle, find_imports, is_within

SHIPPED: Final[Mapping[str, str]] = {
    "model_repository": "model_repository",
    "ocrvl": "backend/ocrvl",
    "ocrvl_client": "client/ocrvl_client",
    "ocrvl_gateway": "gateway/ocrvl_gateway",
    "ocrvl_receipts": "receipts/ocrvl_receipts",
    "ocrvl_cli": "cli/ocrvl_cli",
}
EQUIPMENT: Final[Mapping[str, str]] = {name: name for name in ("perf", "stress", "training", "tools", "tests")}

MAY_IMPORT: Final[Mapping[str, tuple[str, ...]]] = {
    "model_repository": ("ocrvl",),
    "ocrvl": (),
    # names, addresses, and the key to shared memory of a server on the same machine: they import nothing themselves
    "ocrvl_client": ("ocrvl.wire", "ocrvl.address", "ocrvl.local_keys"),
    # kinds of files, tasks' prompts, the Markdown of pages that it joins anew, the schema of receipts, words for what
    # pydantic refuses
    "ocrvl_gateway": (
        "ocrvl_client",
        "ocrvl.__version__",
        "ocrvl.wire",
        "ocrvl.files",
        "ocrvl.prompts",
        "ocrvl.page_markdown",
        "ocrvl.schemas",
        "ocrvl.validation",
    ),
    # limits, keys and errors of HTTP, and how settings are read
    "ocrvl_receipts": (
        "ocrvl_client",
        "ocrvl.__version__",
        "ocrvl.validation",
        "ocrvl_gateway.command_settings",
        "ocrvl_gateway.errors",
        "ocrvl_gateway.json_body",
        "ocrvl_gateway.metrics",
        "ocrvl_gateway.middleware",
        "ocrvl_gateway.openapi",
        "ocrvl_gateway.problems",
        "ocrvl_gateway.protocol",
    ),
    "ocrvl_cli": ("ocrvl", "ocrvl_client", "ocrvl_gateway", "ocrvl_receipts"),
}

LAYERS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "ocrvl": (
        ("repository",),
        ("launcher",),
        (
            "models.cancel",
            "models.document",
            "models.engine",
            "models.fields",
            "models.layout",
            "models.preprocess",
            "models.receipt",
            "models.stream",
        ),
        ("models",),
        ("triton",),
        ("control_channel", "engine_settings", "metrics"),
        ("messages", "page_markdown", "postprocess", "prompts"),
        ("imaging", "options", "settings"),
        ("adapters", "errors", "files", "markup", "quantization", "structured_output", "vllm_plugin"),
        ("address", "checkpoint", "local_keys", "processes", "restart", "schemas", "validation", "wire"),
    ),
    "ocrvl_gateway": (
        ("serve",),
        ("app",),
        ("health", "middleware", "openai", "paddle", "protocol", "receipts", "web"),
        ("dependencies", "disconnect", "encoding", "json_body", "openapi", "server_sent_events"),
        ("fetch", "metrics", "problems", "reader"),
        ("errors", "settings"),
        ("command_settings",),
    ),
    "ocrvl_receipts": (
        ("dlq",),
        ("front", "worker"),
        ("kafka", "reader", "store"),
        ("events",),
        ("notifications",),
        ("objects",),
        ("errors", "metrics", "settings", "trace"),
    ),
}
MAY_IMPORT_PRIVATE: Final = ("tests", "stress.fuzz")
"""What tests the parts of a package one by one."""

BEFORE_TRITON: Final = ("ocrvl.repository", "ocrvl.launcher")
WITHIN_TRITON: Final = ("ocrvl.models", "ocrvl.triton", "ocrvl.control_channel", "ocrvl.vllm_plugin")

IMPORTED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "triton_python_backend_utils": ("ocrvl.triton",),
    "vllm": ("ocrvl.models.engine.vllm_engine", "ocrvl.vllm_plugin"),
}


def broken_rules(root: Path) -> list[str]:
    """What the sources of a checkout import against the rules."""
    imports = find_imports(root, SHIPPED)
    private = find_imports(root, {**SHIPPED, **EQUIPMENT})
    return [
        *map(str, _not_allowed(imports)),
        *map(str, _upward(imports)),
        *map(str, _private(private)),
        *_circle(imports),
    ]


def _not_allowed(imports: list[Import]) -> Iterator[Import]:
    ours = {*SHIPPED, *EQUIPMENT}
    for one in imports:
        package, imported = one.importer.split(".")[0], one.imported.split(".")[0]
        is_ours = imported in ours and imported != package
        if is_ours and not is_within(one.imported, MAY_IMPORT[package]):
            yield one
        if imported in IMPORTED_BY and not is_within(one.importer, IMPORTED_BY[imported]):
            yield one
        if is_within(one.importer, BEFORE_TRITON) and is_within(one.imported, WITHIN_TRITON):
            yield one


def _private(imports: list[Import]) -> Iterator[Import]:
    for one in imports:
        package, *names = one.imported.split(".")
        is_private = any(name.startswith("_") and not name.endswith("__") for name in names)
        is_ours = package in {*SHIPPED, *EQUIPMENT} and package != one.importer.split(".")[0]
        if is_private and is_ours and not is_within(one.importer, MAY_IMPORT_PRIVATE):
            yield one


def _upward(imports: list[Import]) -> Iterator[Import]:
    for one in imports:
        for package in LAYERS:
            if is_within(one.importer, [package]) and is_within(one.imported, [package]):
                (importer, height), (imported, other) = _layer(package, one.importer), _layer(package, one.imported)
                if importer != imported and other <= height:
                    yield one


def _layer(package: str, module: str) -> tuple[str, int]:
    """The subpackage of a module that stands in `LAYERS`, and its line; the package itself is below all."""
    layers = LAYERS[package]
    found = [
        (name, line) for line, names in enumerate(layers) for name in names if is_within(module, [f"{package}.{name}"])
    ]
    if not found and module not in (package, f"{package}.__version__"):
        raise ValueError(f"{module}: put it in LAYERS")
    return max(found, key=lambda one: len(one[0]), default=("", len(layers)))


def _circle(imports: list[Import]) -> Iterator[str]:
    if circle := find_circle(imports):
        yield f"a circle: {' → '.join(circle)}"


def test_imports_run_one_way() -> None:
    assert broken_rules(Path()) == []


def test_the_architecture_page_states_the_layers_that_are_enforced() -> None:
    page = Path("docs/architecture.md").read_text("utf-8")
    models, shared = LAYERS["ocrvl"][2:4]
    lines = [", ".join(names) for names in LAYERS["ocrvl"]]
    lines[2] = f"models/{{{', '.join(name.removeprefix('models.') for name in models)}}}"
    lines[3] = f"what the models share ({shared[0]}/*.py)"
    assert "\n".join(["```", *lines, "```"]) in page


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("backend/ocrvl/wire.py", "from ocrvl.errors import OcrError"),
        ("backend/ocrvl/imaging/grid.py", "import ocrvl.messages"),
        ("backend/ocrvl/triton/loop.py", "from ocrvl import models"),
        ("backend/ocrvl/models/stream/model.py", "from ocrvl.models.engine.request import EngineRequest"),
        ("backend/ocrvl/models/background.py", "def late() -> None:\n    from ocrvl.models.cancel import model"),
        ("backend/ocrvl/launcher/server.py", "from ocrvl.triton.loop import LoopThread"),
        ("backend/ocrvl/options.py", "if TYPE_CHECKING:\n    from ocrvl.messages import Reading"),
        ("backend/ocrvl/repository/plan.py", "from ocrvl_client import Client"),
        ("backend/ocrvl/models/cancel/model.py", "import triton_python_backend_utils as pb_utils"),
        ("backend/ocrvl/launcher/locate.py", "import vllm"),
        ("client/ocrvl_client/_client.py", "from ocrvl.options import Options"),
        ("gateway/ocrvl_gateway/app.py", "import ocrvl_cli.serve"),
        ("gateway/ocrvl_gateway/openai/routes.py", "from ocrvl_gateway.paddle import schemas"),
        ("gateway/ocrvl_gateway/fetch.py", "from ocrvl_gateway.dependencies import Services"),
        ("gateway/ocrvl_gateway/app.py", "from ocrvl.models.document.options import DocumentOptions"),
        ("cli/ocrvl_cli/serve.py", "from tools.demo import main"),
        ("receipts/ocrvl_receipts/front/app.py", "from ocrvl_gateway.reader import Reader"),
        ("receipts/ocrvl_receipts/worker/loop.py", "from ocrvl_receipts.front import app"),
        ("model_repository/ocr/1/model.py", "from ocrvl_client import Client"),
        ("cli/ocrvl_cli/doctor.py", "from ocrvl_client._messages import Request"),
        ("perf/clients.py", "from ocrvl_client import _calls"),
    ],
)
def test_an_import_that_runs_the_other_way_is_found(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(f"import json\n{source}\n")
    (broken,) = broken_rules(tmp_path)
    assert broken.startswith(f"{file}:{2 + source.count(chr(10))}: ")


def test_a_circle_is_found_between_modules_and_between_packages(tmp_path: Path) -> None:
    sources = {
        "client/ocrvl_client/_one.py": "from ocrvl_client._two import other",
        "client/ocrvl_client/_two.py": "def late() -> None:\n    from ocrvl_client._one import one",
        "cli/ocrvl_cli/read/run.py": "from ocrvl_cli.serve.options import Options",
        "cli/ocrvl_cli/serve/options.py": "import ocrvl_cli.app",
        "cli/ocrvl_cli/app.py": "from ocrvl_cli.read import run",
    }
    for package in ("client", "cli"):
        for file, source in sources.items():
            if file.startswith(f"{package}/"):
                (tmp_path / package / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / package / file).write_text(source)
        (broken,) = broken_rules(tmp_path / package)
        assert broken.startswith("a circle: ")


def test_a_module_of_no_layer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "backend/ocrvl").mkdir(parents=True)
    (tmp_path / "backend/ocrvl/novelty.py").write_text("import ocrvl.wire")
    with pytest.raises(ValueError, match=r"ocrvl\.novelty: put it in LAYERS"):
        broken_rules(tmp_path)
