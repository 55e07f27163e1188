"""The model `fields`: words with boxes in, the typed fields of a receipt out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Final

from ocrvl.checkpoint import FIELDS, resolve_checkpoint
from ocrvl.messages import Array, encode_texts
from ocrvl.metrics.definitions import FieldsMetrics
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, publish_metrics
from ocrvl.models.fields.checkpoint import load_classifier
from ocrvl.models.fields.classifier import Classifier, WordsOnImage
from ocrvl.models.fields.groups import Judged, group_rows
from ocrvl.models.fields.receipt import ReceiptFields
from ocrvl.models.fields.request import Limits, decode_request
from ocrvl.models.fields.rows import arrange
from ocrvl.settings import FieldsSettings, parse_parameters
from ocrvl.triton.context import Log, ModelContext, TensorReader
from ocrvl.wire import Tensor

SCHEMA_VERSION: Final = "1.0"
_NO_WORDS: Final = "there are no words to find fields among"
_NO_PIXELS: Final = f"the image was not given ({Tensor.PIXELS}): fields were found from words and boxes alone"


class FieldsModel:
    """Finds the fields of receipts that Triton's batcher brought together."""

    def __init__(self, context: ModelContext, families: FamilyFactory, log: Log) -> None:
        self._settings = parse_parameters(FieldsSettings, context.parameters, context.config_file)
        self._limits = Limits(self._settings.max_words, self._settings.max_image_pixels)
        self._classifier = self._load(context)
        self._metrics = FieldsMetrics()
        end_with_server()
        self._publisher = publish_metrics(self._metrics, context.replica, families, log)

    def find_fields(self, requests: Sequence[TensorReader]) -> list[dict[Tensor, Array] | Exception]:
        """The fields of each request's receipt, or what was wrong with it."""
        began = time.monotonic()
        taken = [self._take(read) for read in requests]
        receipts = [one for one in taken if isinstance(one, WordsOnImage)]
        found = iter(judge_each(self._classifier, receipts))
        answers: list[dict[Tensor, Array] | Exception] = []
        for one in taken:
            if isinstance(one, Exception):
                answers.append(one)
                continue
            judged = next(found)
            answers.append(judged if isinstance(judged, Exception) else self._answer(one, judged))
        self._metrics.receipts.inc(len(receipts))
        self._metrics.seconds.observe(time.monotonic() - began)
        return answers

    def stop(self) -> None:
        """Stop what runs beside the requests."""
        self._publisher.stop()

    def _take(self, read: TensorReader) -> WordsOnImage | Exception:
        try:
            return decode_request(read, self._limits)
        except Exception as error:
            return error

    def _answer(self, receipt: WordsOnImage, judged: Sequence[Judged]) -> dict[Tensor, Array] | Exception:
        try:
            answer = find_fields(receipt, judged, self._settings)
        except Exception as error:
            return error
        return {Tensor.JSON: encode_texts([json.dumps(answer, ensure_ascii=False)])[None]}

    def _load(self, context: ModelContext) -> Classifier:
        name = self._settings.checkpoint
        try:
            folder = resolve_checkpoint(name, context.folder, embedded=FIELDS, ignored=("*.bin", "*.safetensors"))
            return load_classifier(folder, self._settings.threads, self._settings.labels)
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"{context.config_file}: parameters: checkpoint: {error}") from error


def find_fields(receipt: WordsOnImage, judged: Sequence[Judged], settings: FieldsSettings) -> dict[str, Any]:
    """What `receipt-1.0.json` describes, without lines."""
    fields = ReceiptFields(group_rows(arrange(receipt.words), receipt.words, judged), settings.date_order)
    width, height = receipt.size
    warnings = [] if receipt.words else [_NO_WORDS]
    warnings += [] if receipt.pixels is not None else [_NO_PIXELS]
    return {
        "schema_version": SCHEMA_VERSION,
        "width": width,
        "height": height,
        **fields.as_json(receipt.size),
        "warnings": warnings,
    }


def judge_each(classifier: Classifier, receipts: Sequence[WordsOnImage]) -> list[list[Judged] | Exception]:
    """The words of all receipts at once; where the network fails on one of them, the others have theirs still."""
    if not receipts:
        return []
    try:
        return list(classifier.judge(receipts))
    except Exception as error:
        if len(receipts) == 1:
            return [error]
    return [found for receipt in receipts for found in judge_each(classifier, [receipt])]
