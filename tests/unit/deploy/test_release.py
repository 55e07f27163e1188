"""The workflow that a tag starts: GitHub allows it, actions are pinned, and each job has the rights that it needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

WORKFLOW = Path(".github/workflows/release.yml")
PARSED: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
JOBS: dict[str, dict[str, Any]] = PARSED["jobs"]
OTHERS = {"pypa/gh-action-pypi-publish", "sigstore/cosign-installer"}


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = JOBS[job]["steps"]
    return found


def test_it_is_what_github_s_schema_allows() -> None:
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_issue_forms_are_what_github_s_schema_allows() -> None:
    forms = [str(path) for path in Path(".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.github-issue-forms"]
    done = subprocess.run([*command, *forms], capture_output=True, text=True, check=False)
    assert forms
    assert done.returncode == 0, done.stdout


def test_every_action_is_named_by_its_commit() -> None:
    used = [step["uses"] for job in JOBS for step in steps(job) if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
    assert {action.partition("@")[0] for action in used if not action.startswith("actions/")} == OTHERS


def test_a_job_may_write_only_what_it_is_for() -> None:
    assert PARSED["permissions"] == {"contents": "read"}
    write = {
        name: {key for key, right in job.get("permissions", {}).items() if right == "write"}
        for name, job in JOBS.items()
    }
    assert write == {
        "build": set(),
        "attest": {"attestations", "id-token"},
        "publish": {"id-token"},
        "image": {"attestations", "id-token", "packages"},
    }
    checkouts = [step for job in JOBS for step in steps(job) if "actions/checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_what_is_published_was_tried_and_attested() -> None:
    tasks = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text("utf-8"), re.MULTILINE))
    made = [step["run"].split()[1] for step in steps("build") if step.get("run", "").startswith("make ")]
    assert made == ["wheel", "sbom"]
    assert set(made) <= tasks
    assert JOBS["attest"]["needs"] == "build"
    assert JOBS["publish"]["needs"] == "attest"


def test_commands_take_nothing_from_the_event_but_by_the_environment() -> None:
    commands = [step["run"] for job in JOBS for step in steps(job) if "run" in step]
    assert not [command for command in commands if "${{" in command]


def test_every_dockerfile_of_a_server_is_built() -> None:
    built = {one["dockerfile"] for one in JOBS["image"]["strategy"]["matrix"]["include"]}
    assert built == {str(path) for path in Path().glob("Dockerfile*")}
