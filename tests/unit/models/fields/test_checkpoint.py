"""What of a checkpoint is checked when it is loaded, and what its labels may be called."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from ocrvl.checkpoint import FIELDS, embedded_path, resolve_checkpoint
from ocrvl.models.fields.checkpoint import find_labels, load_classifier
from ocrvl.models.fields.labels import Label

OWN = {str(number): label.value for number, label in enumerate(Label)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The embedded checkpoint, to change."""
    shutil.copytree(embedded_path(FIELDS), tmp_path / "own")
    return tmp_path / "own"


def write_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8")) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def write_network(folder: Path, inputs: list[str], answer: str, rank: int = 3) -> None:
    """A network whose answer has one number for each token, or is of the pixels."""
    values = [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in inputs]
    nodes = [helper.make_node("Cast", [answer], ["cast"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("Unsqueeze", ["cast", "last"], ["logits"]) if rank == 3 else nodes[0])
    last = helper.make_tensor("last", TensorProto.INT64, [1], [2])
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes[:2], "network", values, [output], [last])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "model.onnx")


def test_the_embedded_checkpoint_loads_and_knows_every_label() -> None:
    classifier = load_classifier(embedded_path(FIELDS), 1)
    assert set(classifier.labels) == set(Label)
    assert classifier.max_tokens == 512


def test_the_embedded_checkpoint_has_at_most_10_megabytes() -> None:
    assert sum(path.stat().st_size for path in embedded_path(FIELDS).iterdir()) <= 10_000_000


def test_a_checkpoint_is_the_embedded_one_or_a_folder(folder: Path) -> None:
    assert resolve_checkpoint(FIELDS, Path("/nowhere"), embedded=FIELDS) == embedded_path(FIELDS)
    assert resolve_checkpoint("own", folder.parent, embedded=FIELDS) == folder
    with pytest.raises(FileNotFoundError, match="or 'fields'"):
        resolve_checkpoint("nano", folder.parent, embedded=FIELDS)


def broken(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"{")


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("config.json"), "has no config.json"),
        (without("tokenizer.json"), "has no tokenizer.json"),
        (without("model.onnx"), "has no model.onnx: write it by `python -m training fields export`"),
        (broken("config.json"), "config.json is no JSON"),
        (broken("tokenizer.json"), "cannot be loaded"),
        (broken("model.onnx"), "cannot be loaded"),
        (lambda folder: write_config(folder, architectures=["BertForTokenClassification"]), "architectures: expected"),
        (lambda folder: write_config(folder, input_size=None, bos_token_id=None), "input_size, bos_token_id: missing"),
        (
            lambda folder: write_config(folder, id2label={"0": "O", "1": "total"}),
            r"answers \[1, 2, 12\] for two tokens",
        ),
        (lambda folder: write_config(folder, id2label={"0": "O", "1": "TIP"}), "TIP: no labels of this model"),
        (lambda folder: write_network(folder, ["input_ids", "token_type_ids"], "input_ids"), "inputs token_type_ids"),
        (lambda folder: write_network(folder, ["input_ids"], "input_ids"), r"answers \[1, 2, 1\] for two tokens"),
        (lambda folder: write_config(folder, input_size=100), "fails"),
    ],
)
def test_what_does_not_fit_is_said_when_it_is_loaded(
    folder: Path, change: Callable[[Path], object], message: str
) -> None:
    change(folder)
    with pytest.raises(ValueError, match=message):
        load_classifier(folder, 1)


def test_a_tokenizer_that_cuts_texts_off_does_not_do_so_here(folder: Path) -> None:
    path = folder / "tokenizer.json"
    saved = json.loads(path.read_text("utf-8"))
    saved["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(saved), "utf-8")
    assert len(load_classifier(folder, 1).tokenizer.encode(["word"] * 20, is_pretokenized=True).ids) >= 20


@pytest.mark.parametrize(
    ("own", "names"),
    [
        (OWN, {}),
        ({number: label.upper() for number, label in OWN.items()}, {}),
        ({"0": "O", "1": "B-TOTAL", "2": "I-TOTAL", "3": "S-date"}, {}),
        ({"0": "O", "1": "B-MENU.NM", "2": "I-MENU.NM"}, {"menu.nm": "item_name"}),
        ({"0": "nothing", "1": "total"}, {"nothing": "O"}),
    ],
)
def test_labels_may_have_prefixes_any_case_and_names_that_are_translated(
    own: dict[str, str], names: dict[str, str]
) -> None:
    found = find_labels(own, names)
    assert len(found) == len(own)
    assert set(found) - {Label.OTHER}


@pytest.mark.parametrize(
    ("own", "names", "message"),
    [
        (
            {"0": "O", "1": "TIP", "2": "B-VAT"},
            {},
            r"B-VAT, TIP: no labels of this model \(O, company, .*parameter labels",
        ),
        ({"0": "O", "1": "TIP"}, {"TIP": "tip"}, "labels: 'tip' is none of O, company"),
        ({"0": "O", "1": "total"}, {"TIP": "total"}, "labels: TIP: the checkpoint has no such label"),
        ({"0": "O", "2": "total"}, {}, r"the numbers \[0, 2\] are not 0 to 1"),
        ({"0": "O"}, {}, "no label is a field"),
    ],
)
def test_labels_that_mean_nothing_here_are_refused(own: dict[str, str], names: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_labels(own, names)
