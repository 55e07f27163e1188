"""Every `config.pbtxt` against the one module of names and the messages that travel between the models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig
from tritonclient.utils import np_to_triton_dtype

from ocrvl.launcher.locate import find_model_repository
from ocrvl.messages import PackedImages, Reading, encode_delta, encode_done, encode_readings
from ocrvl.models.document.results import Page, encode_pages, encode_whole
from ocrvl.models.receipt.options import ReceiptOptions
from ocrvl.models.receipt.results import encode_receipt
from ocrvl.models.regions import Region, encode_regions
from ocrvl.options import Options
from ocrvl.wire import FinishReason, Model, Task, Tensor
from ocrvl_client._documents import DOCUMENT_OUTPUTS, encode_document
from ocrvl_client._messages import READ_OUTPUTS, encode_read

REPOSITORY = find_model_repository()
PACKED = PackedImages(
    patches=np.zeros((4, 588), np.uint8),
    grids=np.array([[1, 2, 2]], np.int64),
    source_sizes=np.array([[28, 28]], np.int32),
    tasks=(Task.OCR,),
    errors=("",),
    warnings=("",),
    options=Options(),
)
READING = Reading(0, "text", FinishReason.STOP, 1, 1)


def config(model: Model) -> Any:
    parsed = ModelConfig()
    text_format.Parse((REPOSITORY / model / "config.pbtxt").read_text("utf-8"), parsed)
    return parsed


def dims(model: Model, tensor: Any) -> list[int]:
    """The dimensions of a tensor as it travels, the batch dimension included."""
    return [1, *tensor.dims] if config(model).max_batch_size else list(tensor.dims)


def fits(array: Any, model: Model, tensor: Any) -> bool:
    wanted = dims(model, tensor)
    same_shape = len(wanted) == array.ndim and all(
        want in (-1, have) for want, have in zip(wanted, array.shape, strict=True)
    )
    data_type = "STRING" if array.dtype == object else np_to_triton_dtype(array.dtype)
    return same_shape and DataType.Name(tensor.data_type) == f"TYPE_{data_type}"


def test_the_repository_holds_exactly_the_models_that_are_named() -> None:
    assert {path.parent.name for path in REPOSITORY.glob("*/config.pbtxt")} == set(Model)


@pytest.mark.parametrize("model", Model)
def test_every_tensor_has_a_name_that_is_written_down(model: Model) -> None:
    assert config(model).name == model
    for tensor in [*config(model).input, *config(model).output]:
        assert tensor.name in set(Tensor)


@pytest.mark.parametrize("model", Model)
def test_every_version_folder_is_there(model: Model) -> None:
    has_code = config(model).backend == "python"
    assert (REPOSITORY / model / "1" / "model.py").is_file() is has_code
    assert (REPOSITORY / model / "1").is_dir()


def test_what_preprocess_sends_is_what_the_engine_takes() -> None:
    model = Model.ENGINE
    sent = PACKED.encode_tensors()
    assert {tensor.name for tensor in config(model).input} == set(sent)
    assert all(fits(sent[Tensor(tensor.name)], model, tensor) for tensor in config(model).input)


def test_what_preprocess_sends_is_what_its_configuration_says() -> None:
    sent = PACKED.encode_tensors()
    assert {tensor.name for tensor in config(Model.PREPROCESS).output} == set(sent)
    assert all(fits(sent[Tensor(tensor.name)], Model.PREPROCESS, tensor) for tensor in config(Model.PREPROCESS).output)


def test_what_the_engine_answers_is_what_its_configuration_says() -> None:
    answer = encode_readings([READING])
    assert {tensor.name for tensor in config(Model.ENGINE).output} == set(answer)
    assert all(fits(answer[Tensor(tensor.name)], Model.ENGINE, tensor) for tensor in config(Model.ENGINE).output)


def test_the_client_speaks_the_ensemble_s_language() -> None:
    sent = encode_read([b"x"], Task.OCR, {"raw": True}).inputs
    assert {tensor.name for tensor in config(Model.OCR).input} == set(sent)
    assert all(fits(sent[Tensor(tensor.name)], Model.OCR, tensor) for tensor in config(Model.OCR).input)
    assert {tensor.name for tensor in config(Model.OCR).output} == set(READ_OUTPUTS)


def test_the_ensemble_passes_every_tensor_on_under_its_own_name() -> None:
    known = {tensor.name for tensor in config(Model.OCR).input}
    for step in config(Model.OCR).ensemble_scheduling.step:
        model = config(Model(step.model_name))
        assert dict(step.input_map) == {tensor.name: tensor.name for tensor in model.input}
        assert set(step.input_map) <= known
        assert dict(step.output_map) == {tensor.name: tensor.name for tensor in model.output}
        known |= set(step.output_map)
    assert {tensor.name for tensor in config(Model.OCR).output} <= known


def test_the_stream_takes_what_the_ensemble_takes() -> None:
    assert list(config(Model.STREAM).input) == list(config(Model.OCR).input)


def test_what_the_stream_sends_is_what_its_configuration_says() -> None:
    last = encode_done(READING)
    assert {tensor.name for tensor in config(Model.STREAM).output} == set(last)
    assert all(fits(last[Tensor(tensor.name)], Model.STREAM, tensor) for tensor in config(Model.STREAM).output)
    assert set(encode_delta(0, "a")) <= set(last)


PAGE = Page(0, "text", {"width": 1}, {"imgs/a.jpg": b"x"})


@pytest.mark.parametrize("model", [Model.DOCUMENT, Model.DOCUMENT_STREAM])
def test_what_a_document_sends_is_what_its_configuration_says(model: Model) -> None:
    sent = {**encode_pages([PAGE], 1, 1), **encode_whole("text", b"")}
    assert {tensor.name for tensor in config(model).output} == set(sent) == set(DOCUMENT_OUTPUTS)
    assert all(fits(sent[Tensor(tensor.name)], model, tensor) for tensor in config(model).output)
    taken = encode_document(b"x", {"dpi": 72}).inputs
    assert {tensor.name for tensor in config(model).input} == set(taken)
    assert all(fits(taken[Tensor(tensor.name)], model, tensor) for tensor in config(model).input)


def test_what_layout_sends_is_what_its_configuration_says() -> None:
    sent = encode_regions([Region("text", 0.5, (0, 0, 9, 9), ((0, 0), (9, 0), (9, 9)))])
    assert {tensor.name for tensor in config(Model.LAYOUT).output} == set(sent)
    assert all(fits(sent[Tensor(tensor.name)], Model.LAYOUT, tensor) for tensor in config(Model.LAYOUT).output)


def test_what_a_receipt_sends_is_what_its_configuration_says() -> None:
    receipt: dict[str, Any] = {"fields": {"total": None, "items": []}}
    sent = encode_receipt(receipt, np.zeros((4, 4, 3), np.uint8), ReceiptOptions(visualize=True))
    assert {tensor.name for tensor in config(Model.RECEIPT).output} == set(sent)
    assert all(fits(sent[Tensor(tensor.name)], Model.RECEIPT, tensor) for tensor in config(Model.RECEIPT).output)


def test_a_call_s_stream_fits_the_threads_that_its_responses_need() -> None:
    # the Python backend serves calls between models and responses from one pool of 32 threads an instance
    assert int(config(Model.STREAM).parameters["max_calls"].string_value) <= 30


@pytest.mark.parametrize("name", [*Tensor])
def test_tensor_names_stand_nowhere_else_in_the_models(name: Tensor) -> None:
    for path in [*REPOSITORY.glob("*/1/model.py")]:
        assert f'"{name}"' not in path.read_text("utf-8"), path
