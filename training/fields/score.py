"""How many fields of drawn receipts are found, with every letter right, of those that training never saw."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

import numpy as np

from ocrvl.models.fields.classifier import Classifier, WordsOnImage
from ocrvl.models.fields.groups import Judged, group_rows
from ocrvl.models.fields.receipt import ReceiptFields
from ocrvl.models.fields.rows import arrange
from ocrvl.models.words import Word
from training.fields.samples import misread_words
from training.fields.world import DrawnReceipt

Entity = tuple[str, str]
"""A field's name and its text."""

Field = Mapping[str, Any]
"""A field of a receipt's JSON."""

SINGLE: Final = ("company", "address", "date", "currency", "payment", "subtotal", "tax", "total")
MISREAD: Final = 0.03
_SAME_PLACE: Final = 0.5
"""Boxes are in one place where what they share is at least so much of what they cover together."""

TARGETS: Final = {"true boxes": 0.99, "through detection and reading": 0.97}
"""Entity F1 that the checkpoint must reach."""

Given = Callable[[DrawnReceipt], Sequence[Word]]
Read = Callable[[DrawnReceipt, Sequence[Word]], Mapping[str, Any]]
"""The JSON's `fields` of a receipt, from its image or from words that are given."""


@dataclass
class Score:
    """Entities of many receipts: `right`, `found` and `printed` by their names; `whole` receipts with nothing wrong.

    `values` of single fields that are right, wrong, or none where the text could mean several; `outside` are boxes that
    reach out of the image; `seconds` are of the processor, for each
    receipt, and say nothing where it `is_served` by another process.
    """

    name: str
    right: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    printed: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    receipts: int = 0
    whole: int = 0
    outside: int = 0
    seconds: list[float] = field(default_factory=list)
    is_served: bool = False
    misses: list[str] = field(default_factory=list)

    def f1(self, name: str | None = None) -> float:
        """Of one kind of entity, or of all."""
        right, found, printed = (
            counter[name] if name else counter.total() for counter in (self.right, self.found, self.printed)
        )
        return 2 * right / max(1, found + printed)

    @property
    def reaches_target(self) -> bool:
        """Whether it is as good as it must be."""
        return self.f1() >= TARGETS.get(self.name, 0.0)

    def add(self, found: Sequence[Entity], printed: Sequence[Entity]) -> None:
        """One receipt."""
        ours, theirs = Counter(found), Counter(printed)
        both = ours & theirs
        for counter, entities in ((self.right, both), (self.found, ours), (self.printed, theirs)):
            for (name, _), count in entities.items():
                counter[name] += count
        self.receipts += 1
        self.whole += ours == theirs
        if ours != theirs:
            self.misses.append(
                f"found {sorted((ours - both).elements())}, printed {sorted((theirs - both).elements())}"
            )

    def add_values(self, fields: Mapping[str, Any], truth: Mapping[str, str | None]) -> None:
        """The values of one receipt's single fields."""
        for name, value in truth.items():
            own = fields[name]["value"] if fields[name] else "missing"
            self.values["right" if own == value else "none" if own is None else "wrong"] += 1


def score(
    name: str, receipts: Sequence[DrawnReceipt], read: Read, given: Given | None = None, *, forgiving: bool = False
) -> Score:
    """Read every receipt and compare with what is printed, or with the words that are given.

    `forgiving`: what is found in the right place is right, however its letters were read.
    """
    result = Score(name)
    for receipt in receipts:
        words = given(receipt) if given else receipt.words
        truth = fields_of(words, [Judged(label, 1.0) for label in receipt.labels])
        began = time.process_time()
        fields = read(receipt, words)
        result.seconds.append(time.process_time() - began)
        size = receipt.image.size
        printed = truth.as_json(size)["fields"]
        result.add(forgive_misreading(fields, printed) if forgiving else entities(fields), entities(printed))
        result.add_values(fields, receipt.truth.values)
        result.outside += sum(not _is_inside(box, size) for box in boxes_of(fields))
    return result


def score_given(classifier: Classifier, receipts: Sequence[DrawnReceipt], seed: int) -> list[Score]:
    """With words that are given: as they are, as lines split, with some misread, and without the image."""
    rng = Random(f"{seed}/misread")

    def true(receipt: DrawnReceipt) -> Sequence[Word]:
        return receipt.words

    def split(receipt: DrawnReceipt) -> Sequence[Word]:
        return receipt.split_words()

    def misread(receipt: DrawnReceipt) -> Sequence[Word]:
        return misread_words(rng, receipt.split_words(), MISREAD)

    seeing, blind = reader(classifier), reader(classifier, with_pixels=False)
    return [
        score("true boxes", receipts, seeing, true),
        score("true boxes, image blanked", receipts, blind, true),
        score("lines split into words", receipts, seeing, split),
        score("lines split, 3 % of the words misread", receipts, seeing, misread),
    ]


def reader(classifier: Classifier, *, with_pixels: bool = True) -> Read:
    """Reads words that are given."""

    def read(receipt: DrawnReceipt, words: Sequence[Word]) -> Mapping[str, Any]:
        pixels = np.asarray(receipt.image) if with_pixels else None
        (judged,) = classifier.judge([WordsOnImage(words, receipt.image.size, pixels)])
        fields: dict[str, Any] = fields_of(words, judged).as_json(receipt.image.size)["fields"]
        return fields

    return read


def fields_of(words: Sequence[Word], judged: Sequence[Judged]) -> ReceiptFields:
    """The fields that follow from what each word is."""
    return ReceiptFields(group_rows(arrange(words), words, judged))


def entities(fields: Mapping[str, Any]) -> list[Entity]:
    """The fields of a receipt's JSON, each with its text; white space does not count."""
    return [(name, _text(one)) for name, one in _named(fields)]


def forgive_misreading(fields: Mapping[str, Any], printed: Mapping[str, Any]) -> list[Entity]:
    """The entities of `fields`, with the text that is printed where a field of the same name has the same place."""
    missed = _named(printed)
    forgiven: list[Entity] = []
    others: list[tuple[str, Field]] = []
    for name, one in _named(fields):
        if _pop(missed, name, partial(_reads_alike, one)):
            forgiven.append((name, _text(one)))
        else:
            others.append((name, one))
    for name, one in others:
        forgiven.append((name, _text(_pop(missed, name, partial(_is_in_place_of, one)) or one)))
    return forgiven


def _pop(named: list[tuple[str, Field]], name: str, is_it: Callable[[Field], bool]) -> Field | None:
    """Remove the first field of this name that is the one looked for."""
    for index, (own, one) in enumerate(named):
        if own == name and is_it(one):
            del named[index]
            return one
    return None


def _reads_alike(one: Field, other: Field) -> bool:
    return _text(one) == _text(other)


def _is_in_place_of(one: Field, other: Field) -> bool:
    return _overlap(one["box"], other["box"]) >= _SAME_PLACE


def boxes_of(fields: Mapping[str, Any]) -> list[Sequence[float]]:
    """The boxes of all fields."""
    return [one["box"] for _, one in _named(fields)]


def _named(fields: Mapping[str, Any]) -> list[tuple[str, Field]]:
    found = [(name, fields[name]) for name in SINGLE if fields[name]]
    for item in fields["items"]:
        found += [(f"item {name}", item[name]) for name in ("name", "quantity", "price") if item[name]]
    return found


def _text(field: Field) -> str:
    return " ".join(field["text"].split())


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """What two boxes share of what they cover together."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    covered = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / covered if covered else 0.0


def _is_inside(box: Sequence[float], size: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    return 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
