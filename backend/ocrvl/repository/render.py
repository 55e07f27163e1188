"""A plan to the files of a model repository, from those of the repository that comes with this package."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from ocrvl.engine_settings import SETTINGS_FILE
from ocrvl.repository.options import Device
from ocrvl.repository.plan import Plan
from ocrvl.wire import Model

CONFIG_FILE: Final = "config.pbtxt"

_OF_DEFAULT_QUEUE: Final = 8
"""Each priority has a queue of its own, and all of them hold memory: those of the other priorities take an eighth
of the default one's."""

Config = Any
"""A `ModelConfig`; protobuf's classes have no types."""


def render_files(plan: Plan, source: Path, header: str) -> dict[PurePosixPath, bytes]:
    """Every file of the repository by its path in it; `header` opens each `config.pbtxt`, as comments.

    `source` is the repository that is rendered from. Its configurations are parsed and changed, its engine's
    settings replaced, everything else is copied.
    """
    files = {}
    for model in plan.models:
        for path in sorted((source / model).rglob("*")):
            if path.is_file() and path.parent.name != "__pycache__":
                files[PurePosixPath(path.relative_to(source).as_posix())] = _render_file(plan, model, path, header)
    return files


def _render_file(plan: Plan, model: Model, path: Path, header: str) -> bytes:
    if path.name == CONFIG_FILE:
        return _render_config(plan, model, path, header).encode()
    if model is Model.ENGINE and path.name == SETTINGS_FILE:
        return (json.dumps(plan.engine_args, indent=2, ensure_ascii=False) + "\n").encode()
    return path.read_bytes()


def _render_config(plan: Plan, model: Model, path: Path, header: str) -> str:
    config = text_format.Parse(path.read_text("utf-8"), ModelConfig())
    if change := _CHANGES.get(model):
        change(plan, config)
    comments = "".join(f"# {line}\n" for line in header.splitlines())
    return comments + str(text_format.MessageToString(config, as_utf8=True))


def _change_engine(plan: Plan, config: Config) -> None:
    gpus = plan.options.gpu_numbers
    if plan.tensor_parallel_size > 1:
        # one instance over several devices: Triton assigns it none, the model takes them from its parameter
        _set_instances(config, "KIND_MODEL", 1)
        if gpus:
            config.parameters["gpus"].string_value = ",".join(map(str, gpus))
    elif plan.options.device is Device.GPU:
        _set_instances(config, "KIND_GPU", plan.options.engines_on_a_gpu, gpus)
    else:
        _set_instances(config, "KIND_CPU", plan.engines)
    if plan.cpu_cores:
        config.parameters["cpu_cores"].string_value = plan.cpu_cores


def _change_preprocess(plan: Plan, config: Config) -> None:
    _set_instances(config, "KIND_CPU", plan.preprocess_instances.value)
    queue = config.dynamic_batching.default_queue_policy
    queue.max_queue_size = plan.queue_size.value
    if plan.options.queue_timeout_seconds is not None:
        queue.default_timeout_microseconds = round(plan.options.queue_timeout_seconds * 1e6)
    for level in range(1, config.dynamic_batching.priority_levels + 1):
        if level != config.dynamic_batching.default_priority_level:
            other = config.dynamic_batching.priority_queue_policy[level]
            other.CopyFrom(queue)
            other.max_queue_size = max(1, queue.max_queue_size // _OF_DEFAULT_QUEUE)
    if (most := plan.options.max_request_bytes) is not None:
        config.parameters["max_request_bytes"].string_value = str(most)
        _lower_parameter(config, "max_image_bytes", most)


def _change_stream(plan: Plan, config: Config) -> None:
    _set_instances(config, "KIND_CPU", plan.stream_instances.value)


def _change_image_limit(plan: Plan, config: Config) -> None:
    if (most := plan.options.max_request_bytes) is not None:
        _lower_parameter(config, "max_image_bytes", most)


def _change_document(plan: Plan, config: Config) -> None:
    if plan.options.document_queue_size is not None:
        config.dynamic_batching.default_queue_policy.max_queue_size = plan.options.document_queue_size
    for name in ("max_file_bytes", "max_documents"):
        if (value := getattr(plan.options, name)) is not None:
            config.parameters[name].string_value = str(value)


_CHANGES: Final[Mapping[Model, Callable[[Plan, Config], None]]] = {
    Model.ENGINE: _change_engine,
    Model.PREPROCESS: _change_preprocess,
    Model.STREAM: _change_stream,
    Model.LAYOUT: _change_image_limit,
    Model.RECEIPT: _change_image_limit,
    Model.DOCUMENT: _change_document,
    Model.DOCUMENT_STREAM: _change_document,
}


def _set_instances(config: Config, kind: str, count: int, gpus: tuple[int, ...] = ()) -> None:
    """Replace the instance groups by one; with `gpus`, `count` is the number of instances on each."""
    del config.instance_group[:]
    config.instance_group.add(kind=ModelInstanceGroup.Kind.Value(kind), count=count, gpus=gpus)


def _lower_parameter(config: Config, name: str, most: int) -> None:
    """Set a parameter to `most`, unless it is less already."""
    if not config.parameters[name].string_value or int(config.parameters[name].string_value) > most:
        config.parameters[name].string_value = str(most)
