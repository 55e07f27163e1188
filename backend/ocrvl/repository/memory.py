"""What requests may take of the host's memory, if all come that may, as large as they may."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from ocrvl.repository.render import CONFIG_FILE
from ocrvl.settings import (
    DocumentSettings,
    FieldsSettings,
    LayoutSettings,
    ModelSettings,
    PreprocessSettings,
    ReceiptSettings,
    StreamSettings,
    parse_parameters,
)
from ocrvl.wire import Model

_RGB: Final = 3
"""Bytes of a pixel."""

DECODER_BYTES: Final = 3 * 2**29
"""What a process that opens a caller's file may take; here once more, since this module does without their imports."""

_SETTINGS: Final[Mapping[Model, type[ModelSettings]]] = {
    Model.PREPROCESS: PreprocessSettings,
    Model.STREAM: StreamSettings,
    Model.LAYOUT: LayoutSettings,
    Model.FIELDS: FieldsSettings,
    Model.DOCUMENT: DocumentSettings,
    Model.DOCUMENT_STREAM: DocumentSettings,
    Model.RECEIPT: ReceiptSettings,
}


def request_bytes(repository: Path) -> dict[Model, int]:
    """Bytes that requests may hold in each model of a repository that callers can call.

    Requests in queues (each priority has its own) and in instances, and images and pages while they are decoded and as
    pixels. Not what the processes take themselves, engines above all, nor memory that they share.
    """
    configs = {
        model: text_format.Parse(path.read_text("utf-8"), ModelConfig())
        for model in _SETTINGS
        if (path := repository / model / CONFIG_FILE).is_file()
    }
    settings = {model: _read_settings(model, config, repository) for model, config in configs.items()}
    preprocess = settings[Model.PREPROCESS]
    assert isinstance(preprocess, PreprocessSettings)
    return {
        model: _of_model(config, settings[model], preprocess.max_request_bytes) for model, config in configs.items()
    }


def _of_model(config: Any, settings: ModelSettings, most: int) -> int:
    batching = config.dynamic_batching
    levels = range(1, max(1, batching.priority_levels) + 1)
    policies = (batching.priority_queue_policy.get(level, batching.default_queue_policy) for level in levels)
    queued = sum(int(policy.max_queue_size) for policy in policies)
    instances: int = sum(group.count for group in config.instance_group)
    match settings:
        case PreprocessSettings():
            return queued * most + instances * (most + DECODER_BYTES)
        case StreamSettings():
            return (queued + instances * settings.max_calls) * most
        case LayoutSettings():
            return queued * settings.max_image_bytes + instances * DECODER_BYTES
        case FieldsSettings():
            return (queued + instances * int(config.max_batch_size)) * _RGB * settings.max_image_pixels
        case DocumentSettings():
            documents = instances * settings.max_documents
            pages = documents * settings.pages_at_once * _RGB * settings.max_page_pixels
            return (queued + documents) * settings.max_file_bytes + documents * DECODER_BYTES + pages
        case ReceiptSettings():
            receipts = instances * settings.max_receipts
            decoders = instances * settings.looking_threads * DECODER_BYTES
            return (
                (queued + receipts) * settings.max_image_bytes + decoders + receipts * _RGB * settings.max_image_pixels
            )
    raise AssertionError(settings)


def _read_settings(model: Model, config: Any, repository: Path) -> ModelSettings:
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    return parse_parameters(_SETTINGS[model], parameters, repository / model / CONFIG_FILE)
