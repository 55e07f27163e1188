"""`ocrvl repository`: a model repository for this machine's devices."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ocrvl_cli.terminal import Console

if TYPE_CHECKING:
    from ocrvl.repository.plan import Plan


def repository(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write; new, or empty.")],
    checkpoint: Annotated[
        str, typer.Option(help="nano (embedded), a folder, or a hub id such as owner/name.")
    ] = "nano",
    device: Annotated[str, typer.Option(metavar="gpu|cpu", help="What the engines run on.")] = "gpu",
    gpus: Annotated[
        str | None, typer.Option(help="The numbers of the GPUs, such as 0,1; the first if not given.")
    ] = None,
    engines: Annotated[
        int | None,
        typer.Option(help="On each GPU, which they share; on a CPU engines, or ranks of one. 1 if not given."),
    ] = None,
    parallel: Annotated[
        str, typer.Option(metavar="data|tensor", help="An engine on each device, or one engine split over all.")
    ] = "data",
    interface: Annotated[
        list[str] | None,
        typer.Option(metavar="unary|stream|document|receipt", help="What to serve; repeatable, all if not given."),
    ] = None,
    max_num_seqs: Annotated[int, typer.Option(help="Images that one engine reads at a time.")] = 64,
    max_model_len: Annotated[
        int | None, typer.Option(help="Tokens of an image and its text; 8192, or the checkpoint's own if shorter.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="auto|bfloat16|float16|float32",
            help="What the engines compute in; auto (the checkpoint's) on GPUs and float32 on a CPU if not given.",
        ),
    ] = None,
    gpu_memory_utilization: Annotated[
        float | None, typer.Option(help="The share of each GPU's memory that its engine takes; vLLM's if not given.")
    ] = None,
    preprocess_instances: Annotated[
        int | None, typer.Option(help="Processes that decode images; from this machine's cores if not given.")
    ] = None,
    queue_size: Annotated[
        int | None, typer.Option(help="Requests that may wait; twice what the engines read at a time if not given.")
    ] = None,
    queue_timeout_seconds: Annotated[
        float | None, typer.Option(help="Seconds that a request may wait before it is refused; 60 if not given.")
    ] = None,
    document_queue_size: Annotated[
        int | None, typer.Option(help="Documents that may wait in each of their two models; 32 if not given.")
    ] = None,
    max_documents: Annotated[
        int | None, typer.Option(help="Documents in progress at a time in each of these; 8 if not given.")
    ] = None,
    max_request_bytes: Annotated[
        int | None, typer.Option(help="Bytes of the images of a request; 134217728 (128 MiB) if not given.")
    ] = None,
    max_file_bytes: Annotated[
        int | None, typer.Option(help="Bytes of a document's file; 268435456 (256 MiB) if not given.")
    ] = None,
    engine_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Another of vLLM's engine arguments, as in model.json; repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that this command made.")] = False,
) -> None:
    """Render a model repository for this machine, which `ocrvl serve` or a plain `tritonserver` serves.

    Run it on the machine that serves: cores are counted and shared out here. Engines inherit the environment of the
    server, NCCL_DEBUG and NCCL_SOCKET_IFNAME for example.

    Example: ocrvl repository ./repository --checkpoint PaddlePaddle/PaddleOCR-VL-1.6 --gpus 0,1,2,3
    """
    from ocrvl.launcher.interfaces import Interface
    from ocrvl.launcher.locate import TritonNotFound
    from ocrvl.repository.make import make_repository
    from ocrvl.repository.options import (
        Device,
        OptionRefused,
        RepositoryOptions,
        parse_choice,
        parse_gpus,
        parse_parallel,
    )

    errors = Console(stderr=True)
    try:
        options = RepositoryOptions(
            checkpoint=checkpoint,
            device=parse_choice("--device", device, Device),
            gpus=None if gpus is None else parse_gpus(gpus),
            engines=engines,
            parallel=parse_parallel(parallel),
            interfaces=tuple(parse_choice("--interface", name, Interface) for name in interface or Interface),
            max_num_seqs=max_num_seqs,
            max_model_len=max_model_len,
            dtype=dtype,
            gpu_memory_utilization=gpu_memory_utilization,
            preprocess_instances=preprocess_instances,
            queue_size=queue_size,
            queue_timeout_seconds=queue_timeout_seconds,
            document_queue_size=document_queue_size,
            max_documents=max_documents,
            max_request_bytes=max_request_bytes,
            max_file_bytes=max_file_bytes,
            engine_args=tuple(engine_arg or ()),
        )
        plan = make_repository(out, options, force=force)
    except OptionRefused as error:
        errors.print(str(error), style="red")
        raise typer.Exit(2) from None
    except (OSError, TritonNotFound) as error:
        errors.print(f"OUT: {out} cannot be written: {error}", style="red")
        raise typer.Exit(1) from None
    for warning in plan.warnings:
        errors.print(warning, style="yellow")
    _print_plan(Console(), out, plan)


def _print_plan(console: Console, out: Path, plan: Plan) -> None:
    """What was rendered, where its numbers come from, and how to serve it."""
    from ocrvl.repository.memory import request_bytes

    held = sum(request_bytes(out).values()) / 2**30
    lines = [
        ("models", ", ".join(plan.models)),
        ("engines", f"{plan.engines}, {plan.placement}"),
        *((size.name, f"{size.value}, {size.reason}") for size in plan.sizes),
        ("memory for requests", f"{held:.1f} GiB at most: what may wait and be worked on, as large as it may be"),
    ]
    console.print(f"rendered {out}")
    for name, text in lines:
        console.print(f"  {name:<22}{text}")
    folder = shlex.quote(str(out))
    console.print("serve it with either of:")
    console.print(f"  ocrvl serve --model-repository {folder}")
    console.print(f"  tritonserver --model-repository {folder}")
