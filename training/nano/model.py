"""The nano checkpoint's model, as it is trained."""

from __future__ import annotations

from transformers import PaddleOCRVLForConditionalGeneration

from training.common.model import BatchedReader
from training.nano.samples import SLOTS
from training.nano.vocabulary import CHARACTERS, HEAD_IDS


class BatchedNano(BatchedReader):
    """The model of transformers with an auxiliary head over nano's characters."""

    def __init__(self, model: PaddleOCRVLForConditionalGeneration) -> None:
        super().__init__(model, HEAD_IDS, (SLOTS,), len(CHARACTERS) + 1)
