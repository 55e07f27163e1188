"""Many images, a few in flight at a time: which is sent next, whose outcome is handed out, what is left to cancel."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from ocrvl.wire import Tensor
from ocrvl_client._errors import OcrvlError
from ocrvl_client._messages import CANCEL_TOKEN, Array, Request, Source


class HasIndex(Protocol):
    """What became of one of many images."""

    @property
    def index(self) -> int:
        """Which one it was, from 0 on."""


T = TypeVar("T")
OutcomeT = TypeVar("OutcomeT", bound=HasIndex)

_LOOKAHEAD: Final = 4
"""Times `concurrency`: so many may be done and wait for one before them; beyond that none is started."""


@dataclass(frozen=True)
class Started:
    """An image that is sent now: the `index`-th, and the options of its request."""

    index: int
    image: Source
    options: dict[str, Any]


@dataclass(frozen=True)
class Many(Generic[T, OutcomeT]):
    """Requests of one kind for many images: how one is made of an image and its options, and what its answer is.

    `outcome` is made of the image's index, the image, and the result or the error.
    """

    images: Iterable[Source]
    options: Mapping[str, Any]
    encode: Callable[[Source, Mapping[str, Any]], Request]
    decode: Callable[[Mapping[Tensor, Array], float], T]
    outcome: Callable[[int, Source, T | None, OcrvlError | None], OutcomeT]
    concurrency: int
    ordered: bool
    timeout: float


class PendingReads(Generic[OutcomeT]):
    """Keeps `concurrency` images in flight and hands outcomes out in their order, or as they come.

    Each request has a token of its own, since one that takes too long is cancelled by it and must not take the others
    along. Where the caller gave one (`cancel_token`) they share it, and one that takes too long is left to the server.
    `release` and `tokens` are safe for threads.

    >>> from ocrvl_client._readings import Outcome
    >>> pending = PendingReads(["a.png", "b.png"], {}, concurrency=1, ordered=True)
    >>> pending.start_next().image, pending.start_next()
    ('a.png', None)
    >>> [outcome.index for outcome in pending.finish(Outcome(0, "a.png"))]
    [0]
    """

    def __init__(
        self, images: Iterable[Source], options: Mapping[str, Any], *, concurrency: int, ordered: bool
    ) -> None:
        self.shares_token: Final = CANCEL_TOKEN in options
        self._images = enumerate(images)
        self._options = options
        self._concurrency = concurrency
        self._ordered = ordered
        self._tokens: dict[int, str] = {}
        self._started = 0
        self._finished = 0
        self._next = 0
        self._waiting: dict[int, OutcomeT] = {}

    @property
    def in_flight(self) -> int:
        """Images that were started and have not finished."""
        return self._started - self._finished

    def start_next(self) -> Started | None:
        """The next image, taken from the iterable; None where there is no room for it, or none is left.

        From now on its request is among those to cancel.
        """
        if self.in_flight >= self._concurrency or len(self._waiting) >= _LOOKAHEAD * self._concurrency:
            return None
        try:
            index, image = next(self._images)
        except StopIteration:
            return None
        self._started += 1
        options = {CANCEL_TOKEN: uuid.uuid4().hex, **self._options}
        self._tokens[index] = str(options[CANCEL_TOKEN])
        return Started(index, image, options)

    def release(self, index: int) -> None:
        """A request has its answer and need not be cancelled."""
        del self._tokens[index]

    def finish(self, outcome: OutcomeT) -> list[OutcomeT]:
        """The outcomes that can be handed out now that this one has come."""
        self._finished += 1
        if not self._ordered:
            return [outcome]
        self._waiting[outcome.index] = outcome
        ready = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        return ready

    def tokens(self) -> list[str]:
        """What cancels all that are left, each once; the server cancels requests that come late as well."""
        return list(dict.fromkeys(self._tokens.copy().values()))
