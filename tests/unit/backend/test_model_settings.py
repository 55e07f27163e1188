"""`ocrvl.settings`: parameters are read once, and wrong ones named with their file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf import text_format
from pydantic import ValidationError
from tritonclient.grpc.model_config_pb2 import ModelConfig

from ocrvl.launcher.locate import find_model_repository
from ocrvl.settings import (
    EngineModelSettings,
    ModelSettings,
    PreprocessSettings,
    StreamSettings,
    parse_parameters,
)
from ocrvl.wire import Model

SOURCE = Path("repository/model/config.pbtxt")


@pytest.mark.parametrize("cls", [PreprocessSettings, EngineModelSettings, StreamSettings])
def test_no_parameters_are_the_defaults(cls: type[ModelSettings]) -> None:
    assert parse_parameters(cls, {}, SOURCE) == cls()


def test_parameters_are_read_from_their_texts() -> None:
    settings = parse_parameters(
        EngineModelSettings,
        {
            "prefetch_requests": "0",
            "stall_seconds": "2.5",
            "max_failures": "0",
            "failure_window_seconds": "60",
            "hold_seconds": "0",
            "warm_up": "false",
            "gpus": "0,1,10",
            "cpu_cores": "0-3,8|4-7,9",
            "log_requests": "true",
        },
        SOURCE,
    )
    assert settings == EngineModelSettings(
        prefetch_requests=0,
        stall_seconds=2.5,
        max_failures=0,
        failure_window_seconds=60.0,
        hold_seconds=0.0,
        warm_up=False,
        gpus="0,1,10",
        cpu_cores="0-3,8|4-7,9",
        log_requests=True,
    )


@pytest.mark.parametrize(
    ("cls", "key", "value", "reason"),
    [
        (PreprocessSettings, "max_image_bytes", "64 MB", "Input should be a valid integer"),
        (PreprocessSettings, "max_image_bytes", "", "Input should be a valid integer"),
        (PreprocessSettings, "max_image_pixels", "0", "Input should be greater than or equal to 1"),
        (PreprocessSettings, "max_patch_bytes", "1e9", "Input should be a valid integer"),
        (PreprocessSettings, "max_request_bytes", "-1", "Input should be greater than or equal to 1"),
        (EngineModelSettings, "prefetch_requests", "-1", "Input should be greater than or equal to 0"),
        (EngineModelSettings, "prefetch_requests", "none", "Input should be a valid integer"),
        (EngineModelSettings, "stall_seconds", "0", "Input should be greater than 0"),
        (EngineModelSettings, "stall_seconds", "inf", "Input should be a finite number"),
        (EngineModelSettings, "failure_window_seconds", "nan", "Input should be"),
        (EngineModelSettings, "hold_seconds", "-0.1", "Input should be greater than or equal to 0"),
        (EngineModelSettings, "max_failures", "2.5", "Input should be a valid integer"),
        (EngineModelSettings, "warm_up", "True", "expected true or false"),
        (EngineModelSettings, "warm_up", "1", "expected true or false"),
        (EngineModelSettings, "log_requests", "yes", "expected true or false"),
        (EngineModelSettings, "gpus", "0;1", "expected numbers of devices with commas, like 0,1"),
        (EngineModelSettings, "gpus", "", "expected numbers of devices with commas"),
        (EngineModelSettings, "gpus", "1,01", "a device is named twice"),
        (EngineModelSettings, "cpu_cores", "0-3||4-7", "like 0-3|4-7"),
        (EngineModelSettings, "cpu_cores", "auto", "like 0-3|4-7"),
        (StreamSettings, "max_calls", "0", "Input should be greater than or equal to 1"),
        (StreamSettings, "max_calls", "31", "Input should be less than or equal to 30"),
    ],
)
def test_a_wrong_value_is_refused_with_file_key_and_what_is_allowed(
    cls: type[ModelSettings], key: str, value: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        parse_parameters(cls, {key: value}, SOURCE)
    assert str(caught.value).startswith(f'{SOURCE}: parameters: {key}: "{value}": ')


def test_an_unknown_key_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown key 'max_call' \(known: max_calls\)$") as caught:
        parse_parameters(StreamSettings, {"max_call": "3"}, SOURCE)
    assert str(caught.value).startswith(f"{SOURCE}: ")


def test_every_problem_has_a_line() -> None:
    with pytest.raises(ValueError, match="warm_up") as caught:
        parse_parameters(
            EngineModelSettings, {"warm_up": "no", "prefetch_requests": "x", "spare": "1", "gpus": "0"}, SOURCE
        )
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{SOURCE}: parameters: ") for line in lines)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        StreamSettings().max_calls = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("model", "cls"),
    [(Model.PREPROCESS, PreprocessSettings), (Model.ENGINE, EngineModelSettings), (Model.STREAM, StreamSettings)],
)
def test_the_repository_s_own_parameters_are_the_defaults(model: Model, cls: type[ModelSettings]) -> None:
    path = find_model_repository() / model / "config.pbtxt"
    config = text_format.Parse(path.read_text("utf-8"), ModelConfig())
    parameters = {key: entry.string_value for key, entry in config.parameters.items()}
    assert parse_parameters(cls, parameters, path) == cls()
