"""The workflow of continuous integration: what a person runs, with pinned actions and no rights to write."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

WORKFLOW = Path(".github/workflows/ci.yml")
PARSED: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
STEPS: list[dict[str, Any]] = [step for job in PARSED["jobs"].values() for step in job["steps"]]


def test_it_is_what_github_s_schema_allows() -> None:
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_command_is_a_task_of_the_makefile() -> None:
    tasks = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text("utf-8"), re.MULTILINE))
    commands = [step["run"].split() for step in STEPS if "run" in step]
    assert {command[1] for command in commands} == {"check", "test"}
    assert {command[0] for command in commands} == {"make"}
    assert {command[1] for command in commands} <= tasks


def test_actions_are_pinned_and_may_only_read() -> None:
    actions = [step["uses"] for step in STEPS if "uses" in step]
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in actions)
    assert PARSED["permissions"] == {"contents": "read"}
    assert not [job for job in PARSED["jobs"].values() if "permissions" in job]
    assert all(step["with"]["persist-credentials"] is False for step in STEPS if "checkout" in step.get("uses", ""))


def test_every_python_that_the_package_names_is_tried() -> None:
    named = set(re.findall(r'"Programming Language :: Python :: (3\.\d+)"', Path("pyproject.toml").read_text("utf-8")))
    for job in PARSED["jobs"].values():
        assert set(job["strategy"]["matrix"]["python"]) == named
