"""The model repository as it comes, with settings of its own for a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from ocrvl.engine_settings import SETTINGS_FILE
from ocrvl.launcher.interfaces import Interface, models_of
from ocrvl.launcher.locate import find_model_repository
from ocrvl.wire import Model


def copy_repository(
    folder: Path,
    *,
    parameters: Mapping[str, str] | None = None,
    engine_args: Mapping[str, Any] | None = None,
    interfaces: Iterable[Interface] = (Interface.UNARY, Interface.STREAM),
) -> Path:
    """Copy it to `folder`, which is returned; `parameters` are of the engine's model, `engine_args` of vLLM.

    Models that the `interfaces` do not need are left out.
    """
    others = set(Model) - set(models_of(interfaces))
    shutil.copytree(find_model_repository(), folder, ignore=shutil.ignore_patterns("__pycache__", *others))
    config_file = folder / Model.ENGINE / "config.pbtxt"
    config = text_format.Parse(config_file.read_text("utf-8"), ModelConfig())
    for key, value in (parameters or {}).items():
        config.parameters[key].string_value = value
    config_file.write_text(text_format.MessageToString(config, as_utf8=True), "utf-8")
    settings_file = folder / Model.ENGINE / "1" / SETTINGS_FILE
    settings = json.loads(settings_file.read_text("utf-8")) | dict(engine_args or {})
    settings_file.write_text(json.dumps(settings, indent=2), "utf-8")
    return folder
