"""A token classifier's files, checked when they are loaded: what is missing or does not fit is said in a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ocrvl.models.fields.classifier import Classifier
from ocrvl.models.fields.encoding import SpecialTokens
from ocrvl.models.fields.labels import Label

MODEL_FILE: Final = "model.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
CONFIG_FILE: Final = "config.json"
INPUTS: Final = ("input_ids", "bbox", "attention_mask", "pixel_values")
"""The model's inputs under LayoutLMv3's names; the last one only where it sees the image."""

_PREFIX: Final = re.compile(r"[BIES][-_]", re.IGNORECASE)
_ARCHITECTURE: Final = "LayoutLMv3ForTokenClassification"


class OnnxNetwork:
    """A network in ONNX Runtime on the CPU, with `threads` threads."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(entry.name for entry in self._session.get_inputs())

    def __call__(self, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """See `Network`."""
        logits: npt.NDArray[np.float32] = self._session.run(None, {name: inputs[name] for name in self.inputs})[0]
        return logits


def load_classifier(folder: Path, threads: int, names: Mapping[str, str] | None = None) -> Classifier:
    """The classifier in a folder; `names` says which label of this project each of the checkpoint's own is.

    Raises `ValueError` with what to change.
    """
    for file in (CONFIG_FILE, TOKENIZER_FILE, MODEL_FILE):
        if not (folder / file).is_file():
            how = ": write it by `python -m training fields export`" if file == MODEL_FILE else ""
            raise ValueError(f"{folder} has no {file}{how}")
    config = _read_config(folder / CONFIG_FILE)
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        network = OnnxNetwork(folder / MODEL_FILE, threads)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder} cannot be loaded ({type(error).__name__}: {reason})") from error
    # what a saved tokenizer cuts off or fills up would be lost, or read as words
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = SpecialTokens(*(int(config[f"{name}_token_id"]) for name in ("bos", "eos", "pad")))
    classifier = Classifier(
        network,
        tokenizer,
        special,
        find_labels(config["id2label"], names or {}),
        # LayoutLMv3 counts positions from behind the padding's own
        int(config["max_position_embeddings"]) - special.pad - 1,
        int(config["input_size"]),
    )
    _try(classifier, network.inputs, folder)
    return classifier


def find_labels(own: Mapping[str, str], names: Mapping[str, str]) -> tuple[Label, ...]:
    """What each output of a checkpoint means; `own` are its labels by number, with or without prefixes as `B-`.

    Raises `ValueError` for labels that mean nothing here, for numbers that are missing, and where none is a field.
    """
    numbers = sorted(map(int, own))
    if numbers != list(range(len(numbers))):
        raise ValueError(f"{CONFIG_FILE}: id2label: the numbers {numbers} are not 0 to {len(numbers) - 1}")
    found: list[Label] = []
    unknown: list[str] = []
    known = {label.value.casefold(): label for label in Label}
    known |= {name.casefold(): _parse_label(label) for name, label in names.items()}
    for number in numbers:
        text = own[str(number)]
        label = known.get(text.casefold()) or known.get(_PREFIX.sub("", text, count=1).casefold())
        if label is None:
            unknown.append(text)
        else:
            found.append(label)
    if unknown:
        raise ValueError(
            f"{CONFIG_FILE}: id2label: {', '.join(sorted(set(unknown)))}: no labels of this model "
            f"({', '.join(Label)}): say in the parameter labels which of them each one is"
        )
    if missing := [name for name in names if name.casefold() not in {_plain(text) for text in own.values()}]:
        raise ValueError(f"labels: {', '.join(missing)}: the checkpoint has no such label")
    if not set(found) - {Label.OTHER}:
        raise ValueError(f"{CONFIG_FILE}: id2label: no label is a field")
    return tuple(found)


def _parse_label(text: str) -> Label:
    try:
        return Label(text)
    except ValueError:
        raise ValueError(f"labels: {text!r} is none of {', '.join(Label)}") from None


def _plain(text: str) -> str:
    return _PREFIX.sub("", text, count=1).casefold()


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error})") from error
    if not isinstance(config, dict) or _ARCHITECTURE not in (config.get("architectures") or ()):
        raise ValueError(f"{path}: architectures: expected {_ARCHITECTURE}")
    needed = ("id2label", "max_position_embeddings", "input_size", "bos_token_id", "eos_token_id", "pad_token_id")
    if missing := [name for name in needed if config.get(name) is None]:
        raise ValueError(f"{path}: {', '.join(missing)}: missing")
    return config


def _try(classifier: Classifier, inputs: tuple[str, ...], folder: Path) -> None:
    """One pass, before any request: inputs and outputs are as they must be, and what is slow the first time is done."""
    if unknown := sorted(set(inputs) - set(INPUTS)):
        raise ValueError(f"{folder / MODEL_FILE} has the inputs {', '.join(unknown)}, known are {', '.join(INPUTS)}")
    ids = np.array([[classifier.special.begin, classifier.special.end]], np.int64)
    side = classifier.side
    try:
        logits = classifier.network(
            {
                "input_ids": ids,
                "bbox": np.zeros((1, 2, 4), np.int64),
                "attention_mask": np.ones_like(ids),
                "pixel_values": np.zeros((1, 3, side, side), np.float32),
            }
        )
    except Exception as error:
        raise ValueError(f"{folder / MODEL_FILE} fails: {' '.join(str(error).split())[:200]}") from error
    if logits.ndim != 3 or logits.shape[:2] != (1, 2) or logits.shape[2] != len(classifier.labels):
        raise ValueError(
            f"{folder / MODEL_FILE} answers {list(logits.shape)} for two tokens, expected [1, 2, "
            f"{len(classifier.labels)}]: a number for each label of {CONFIG_FILE}"
        )
