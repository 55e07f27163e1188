"""What the package's metadata promise: a small client, a server as an extra, types, and the files that it needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PYPROJECT: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
WHEEL: dict[str, Any] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
BASE = {"latex2mathml", "markdown-it-py", "mdit-py-plugins", "nh3", "numpy", "rich", "tritonclient", "typer"}


def test_the_base_is_the_client_and_the_command_line() -> None:
    assert {Requirement(one).name for one in PROJECT["dependencies"]} == BASE


def test_every_extra_is_one_that_the_documentation_installs_or_says_to_be_for_machines() -> None:
    pages = "".join(path.read_text("utf-8") for path in [Path("README.md"), *Path("docs").glob("*.md")])
    named = {name for found in re.findall(r"ocrvl\[([a-z,]+)\]", pages) for name in found.split(",")}
    assert named <= set(PROJECT["optional-dependencies"])
    assert {"server", "gateway", "receipt", "receipts"} <= named


def test_every_package_with_an_interface_says_that_it_is_typed() -> None:
    packages = [Path(package) for package in WHEEL["packages"] if not package.endswith("_cli")]
    assert all((package / "py.typed").is_file() for package in packages)
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_every_package_of_the_project_is_in_the_wheel() -> None:
    found = {str(path.parent) for path in Path().glob("*/ocrvl*/__init__.py")}
    assert set(WHEEL["packages"]) == found
    assert WHEEL["force-include"] == {"model_repository": "ocrvl/model_repository"}


def test_the_changelog_has_the_version() -> None:
    version = re.search(
        r'__version__ = "([^"]+)"', Path(PYPROJECT["tool"]["hatch"]["version"]["path"]).read_text("utf-8")
    )
    assert version
    assert f"\n## {version[1]}" in Path("CHANGELOG.md").read_text("utf-8")
