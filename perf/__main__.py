"""`python -m perf COMMAND`: measurements, and what is computed from them. `--help` lists the commands."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, NoReturn

import typer


@dataclass(frozen=True)
class Command:
    """A command: the module whose `main` it is, imported when it is called, and what it does."""

    module: str
    help: str


@dataclass(frozen=True)
class Group:
    """Commands that share a first word."""

    commands: Mapping[str, Command | Group]
    help: str


GPU: Final = {
    "pairs": Command("perf.gpu.pairs", "Measure systems in turn, all of them up together."),
    "report": Command("perf.gpu.report", "Print tables of what pairs has measured."),
    "curves": Command("perf.gpu.curves", "Draw rates and latencies by requests in flight."),
    "roofline": Command("perf.gpu.roofline", "Compute what a device allows at most."),
    "faults": Command("perf.gpu.faults", "Kill engines under load, start servers with too little memory."),
    "encoder": Command("perf.gpu.encoder", "Measure the vision encoder alone."),
    "steps": Command("perf.gpu.steps", "Measure an engine's steps, and the GPU's share of them."),
    "tests": Command("perf.gpu.tests", "Run the tests with an engine that apply on a GPU."),
    "texts": Command("perf.gpu.texts", "Compare the embedded checkpoint's texts on two devices."),
    "bursts": Command("perf.gpu.bursts", "Compare texts in bursts with those of single steps."),
    "stand-in": Command("perf.gpu.stand_in", "Write a checkpoint of the real shapes with random weights."),
    "bundle": Command("perf.gpu.bundle", "Pack what a machine without a network needs."),
}
COMMANDS: Final[Mapping[str, Command | Group]] = {
    "load": Command("perf.load.__main__", "Load a server with perf_analyzer and write a report."),
    "bench": Command("perf.bench.__main__", "Compare systems that serve the same model, side by side."),
    "overhead": Command("perf.overhead", "Measure what the models cost around the engine."),
    "cold-start": Command("perf.cold_start", "Time the first requests after a start."),
    "growth": Command("perf.growth", "Measure how cost grows with pixels, tokens and requests in flight."),
    "documents": Command("perf.documents", "Measure documents: speed, memory, and what others wait beside them."),
    "gateway": Command("perf.gateway", "Measure what the gateway costs."),
    "clients": Command("perf.clients", "Compare the SDK with perf_analyzer."),
    "refusals": Command("perf.refusals", "Measure what a refused request costs."),
    "environment": Command("perf.environment", "Compare servers with and without an environment variable."),
    "input-data": Command("perf.load.input_data", "Write input data for perf_analyzer."),
    "parity": Command("perf.parity.__main__", "Compare what is served with transformers."),
    "sizing": Command("perf.sizing", "Compute the GPUs, cores and memory that a load takes."),
    "autoscaling": Command("perf.autoscaling.__main__", "Simulate a day's load on replicas that an autoscaler adds."),
    "figures": Command("perf.figures.__main__", "Write the documentation's tables from perf/figures/*.json."),
    "gpu": Group(GPU, "Measure on a GPU; see perf/gpu/README.md."),
}


def main(arguments: Sequence[str], group: Group, program: str) -> NoReturn:
    """Run the command that the arguments begin with, or list the commands; ends with its exit status."""
    name, *rest = arguments or ["--help"]
    match group.commands.get(name):
        case Group() as inner:
            main(rest, inner, f"{program} {name}")
        case Command(module=module):
            # most of them need packages of their own
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            app.command()(import_module(module).main)
            app(rest, prog_name=f"{program} {name}")
        case _:
            width = max(map(len, group.commands)) + 2
            lines = (f"  {command:{width}}{one.help}" for command, one in group.commands.items())
            print(
                f"usage: {program} COMMAND\n\n{group.help}\n",
                *lines,
                f"\n{program} COMMAND --help says more.",
                sep="\n",
            )
            sys.exit(0 if name == "--help" else f"{program}: no command {name!r}")
    sys.exit()


if __name__ == "__main__":
    main(sys.argv[1:], Group(COMMANDS, "Measure this server, and compute with what was measured."), "python -m perf")
