"""What the documentation lists is what the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.core import TyperGroup
from typer.main import get_command

import perf.__main__
import stress.__main__
from ocrvl.messages import Reading, encode_done
from ocrvl.models.document.options import DocumentOptions, PixelLimits
from ocrvl.models.receipt.options import ReceiptOptions
from ocrvl.options import Options
from ocrvl.wire import Model, Task, Tensor
from ocrvl_cli import app
from ocrvl_cli.reading.errors import Exit
from ocrvl_client._documents import DOCUMENT_OUTPUTS
from ocrvl_client._messages import READ_OUTPUTS
from tests.support.pages import anchors

REQUESTS = Path("docs/requests.md").read_text("utf-8")
COMMAND_LINE = Path("docs/command-line.md").read_text("utf-8")
DOCUMENTS = Path("docs/documents.md").read_text("utf-8")
RECEIPTS = Path("docs/receipts.md").read_text("utf-8")
PAGES = [
    *(Path(name) for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "perf/README.md")),
    Path("perf/gpu/README.md"),
    *Path("docs").rglob("*.md"),
]
MADE = {"build", "dist"}
FOLDERS = "|".join(
    path.name for path in Path().iterdir() if path.is_dir() and path.name[0] != "." and path.name not in MADE
)


def module_file(name: str) -> Path | None:
    """Where the source of a module or a package of ours is."""
    path = Path(*name.split("."))
    roots = [Path(), *(Path(root) for root in ("backend", "client", "cli", "gateway", "receipts"))]
    files = [root / file for root in roots for file in (path.with_suffix(".py"), path / "__init__.py")]
    return next((file for file in files if file.exists()), None)


def commands(package: str) -> set[str]:
    """The commands of `python -m package`."""
    if package == "perf":
        return set(perf.__main__.COMMANDS)
    command = get_command(stress.__main__.app)
    assert isinstance(command, TyperGroup)
    return set(command.commands)


def named_in_rows(text: str, pattern: str) -> set[str]:
    """The names in backquotes in the first column of table rows that match."""
    rows = [line for line in text.splitlines() if re.match(pattern, line)]
    return {name for row in rows for name in re.findall(r"`([\w]+)`", row.split("|")[1])}


def test_every_option_is_in_the_table_and_no_other() -> None:
    table = REQUESTS.partition("\n## Options\n")[2].partition("\n## ")[0]
    assert named_in_rows(table, r"\| `") == set(Options.model_fields)


@pytest.mark.parametrize(("page", "options"), [(DOCUMENTS, DocumentOptions), (RECEIPTS, ReceiptOptions)])
def test_every_option_of_a_file_is_in_its_table_with_its_default_and_meaning(
    page: str, options: type[BaseModel]
) -> None:
    table = page.partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines() if line.startswith("| `")]
    documented = {row[0].strip(" `"): tuple(cell.strip() for cell in row[2:]) for row in rows}
    defined = {}
    for name, option in options.model_fields.items():
        default = option.get_default()
        default = {} if isinstance(default, PixelLimits) else default
        defined[name] = ("" if default is None else f"`{json.dumps(default)}`", option.description)
    assert documented == defined


@pytest.mark.parametrize(
    ("model", "taken", "sent"),
    [
        (Model.OCR, {Tensor.IMAGE, Tensor.TASK, Tensor.OPTIONS}, set(READ_OUTPUTS)),
        (Model.STREAM, set(), set(encode_done(Reading(0)))),
        (Model.CANCEL, {Tensor.CANCEL_TOKEN}, {Tensor.CANCELLED}),
        (Model.DOCUMENT, {Tensor.FILE, Tensor.OPTIONS}, set(DOCUMENT_OUTPUTS)),
        (
            Model.FIELDS,
            {Tensor.WORDS, Tensor.BOX, Tensor.LINE, Tensor.PIXELS, Tensor.SIZE},
            {Tensor.JSON},
        ),
        (Model.RECEIPT, {Tensor.IMAGE, Tensor.OPTIONS}, {Tensor.JSON, Tensor.IMAGE_DATA}),
        (
            Model.LAYOUT,
            {Tensor.IMAGE, Tensor.PIXELS, Tensor.OPTIONS},
            {Tensor.LABEL, Tensor.SCORE, Tensor.BOX, Tensor.POLYGON},
        ),
    ],
)
def test_every_tensor_of_a_model_is_in_its_table(model: Model, taken: set[Tensor], sent: set[Tensor]) -> None:
    _, _, section = (REQUESTS + DOCUMENTS + RECEIPTS).partition(f"\n## `{model}`\n")
    section, _, _ = section.partition("\n## ")
    assert named_in_rows(section, r"\| in ") == taken
    assert named_in_rows(section, r"\| out ") == sent


def test_every_task_is_named() -> None:
    row = next(line for line in REQUESTS.splitlines() if line.startswith("| in `task`"))
    assert set(re.findall(r"`(\w+)`", row)) == {*Task, "task"}


def test_the_links_of_the_documentation_lead_to_a_file_and_a_heading_of_it() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
            if "://" not in target:
                name, _, anchor = target.partition("#")
                found = page.parent / name if name else page
                assert found.exists(), f"{page}: {target}"
                assert not anchor or anchor in anchors(found), f"{page}: {target}"


def test_every_task_module_and_path_that_the_documentation_names_exists() -> None:
    tasks = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text("utf-8")
        named = set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", text, re.MULTILINE))
        assert named <= tasks, f"{page}: {named - tasks}"
        for path in re.findall(rf"(?<!\[)`((?:{FOLDERS})/[\w./-]+)`", text):
            assert Path(path).exists(), f"{page}: {path}"
        for name in re.findall(r"python3? -m ((?:ocrvl|perf|stress|training|tools)[\w.]*)", text):
            assert module_file(name), f"{page}: {name}"
        for package, command in re.findall(r"python3? -m (perf|stress)\s+([a-z][\w-]*)", text):
            assert command in commands(package), f"{page}: {package} {command}"
        for name in re.findall(r"`(ocrvl(?:_\w+)?(?:\.\w+)+)`", text):
            parent, _, attribute = name.rpartition(".")
            source = module_file(parent)
            assert module_file(name) or (source and attribute in source.read_text("utf-8")), f"{page}: {name}"


@pytest.mark.parametrize("page", sorted(Path("docs/decisions").glob("*.md")), ids=lambda page: page.stem)
def test_every_decision_has_a_status_a_date_and_its_three_parts(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.search(
        r"^\*\*Status\*\*: (accepted|superseded by .+)\. \*\*Date\*\*: \d{4}-\d\d-\d\d\.$", text, re.MULTILINE
    )
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_every_option_and_exit_status_of_the_command_read_is_in_the_documentation() -> None:
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    options = {
        name for one in command.commands["read"].params for name in (*one.opts, *one.secondary_opts) if name[0] == "-"
    }
    _, _, section = COMMAND_LINE.partition("## `ocrvl read`")
    table, _, _ = section.partition("**Formats.**")
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(-[\w-]+)`", row)} == options
    _, _, statuses = COMMAND_LINE.partition("## Exit statuses")
    documented = {
        int(number) for row in re.findall(r"^\| ([\d, ]+) \|", statuses, re.MULTILINE) for number in row.split(",")
    }
    assert documented == set(Exit)


def test_every_command_is_in_the_documentation() -> None:
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    assert set(re.findall(r"^\| `ocrvl (\w+)`", COMMAND_LINE, re.MULTILINE)) == set(command.commands)
