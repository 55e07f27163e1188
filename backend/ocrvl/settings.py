"""Settings of the models: `parameters` of their `config.pbtxt`, parsed once at load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field


class ModelSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PreprocessSettings(ModelSettings):
    max_picture_bytes: int = 67_108_864
    max_picture_pixels: int = 100_000_000
    max_patch_bytes: int = 536_870_912
    max_request_bytes: int = 134_217_728


class EngineModelSettings(ModelSettings):
    reserve: int | None = Field(None, ge=0)
    stall_seconds: float = 60.0
    max_failures: int = 5
    failure_window_seconds: float = 600.0
    hold_seconds: float = 10.0
    warm_up: bool = True
    gpus: str | None = None
    cpu_cores: str | None = None
    log_requests: bool = True


class StreamSettings(ModelSettings):
    max_calls: int = 24


T = TypeVar("T", bound=ModelSettings)


def parse_parameters(cls: type[T], parameters: Mapping[str, str], source: Path) -> T:
    return cls.model_validate(dict(parameters))
