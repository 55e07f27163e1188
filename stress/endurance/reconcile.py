"""Every request held against what became of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from stress.endurance.callers import CallerKind, Outcome
from stress.endurance.journal import Closed, Ended, Event, Sent

AT_ONCE_SECONDS: Final = 2.0
"""A refusal that took no longer was one at once: it covers a connection that is tried again, on a busy machine."""


@dataclass(frozen=True)
class Client:
    """One client process, and how it ended: killed, or seen to run until a moment though it should have ended.

    Neither means that it ended by itself.
    """

    name: str
    journal: Path
    killed_at: float | None = None
    seen_until: float | None = None


class Verdict(StrEnum):
    """What became of a request, from best to worst."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"
    OF_KILLED = "of a killed client"
    UNCLEAR = "unclear"
    WRONG = "wrong"
    LOST = "lost"
    HUNG = "hung"


UNACCEPTABLE: Final = (Verdict.UNCLEAR, Verdict.WRONG, Verdict.LOST, Verdict.HUNG)

_CLEAR: Final = (Outcome.UNAVAILABLE, Outcome.TIMEOUT, Outcome.CANCELLED)


@dataclass(frozen=True)
class Request:
    """One request from beginning to end; `ended` and `outcome` are None where it never ended."""

    id: str
    client: str
    caller: CallerKind
    image: str
    sent: float
    ended: float | None
    outcome: Outcome | None
    verdict: Verdict
    detail: str


class JournalBroken(Exception):
    """A journal contradicts itself: nothing can be said of its requests."""


def reconcile(client: Client, events: Iterable[Event], deadline: float) -> list[Request]:
    """The requests of one client; `deadline` is their timeout and the grace after it, in seconds.

    Raises `JournalBroken` where a request was sent twice, or ended twice or without being sent.
    """
    sent: dict[str, Sent] = {}
    ended: dict[str, Ended] = {}
    closed = client.seen_until
    for event in events:
        match event:
            case Closed():
                closed = event.at
            case Sent():
                if event.id in sent:
                    raise JournalBroken(f"{event.id} was sent twice")
                sent[event.id] = event
            case Ended():
                if event.id in ended or event.id not in sent:
                    raise JournalBroken(f"{event.id} ended twice, or was never sent")
                ended[event.id] = event
    return [_close(client, request, ended.get(request.id), closed, deadline) for request in sent.values()]


def _close(client: Client, sent: Sent, ended: Ended | None, closed: float | None, deadline: float) -> Request:
    if ended is None:
        verdict = _judge_open(client, sent, closed, deadline)
        return Request(sent.id, client.name, sent.caller, sent.image, sent.at, None, None, verdict, "")
    late = ended.at - sent.at > deadline
    verdict = Verdict.HUNG if late else judge(sent.caller, ended.outcome, ended.at - sent.at)
    return Request(
        sent.id, client.name, sent.caller, sent.image, sent.at, ended.at, ended.outcome, verdict, ended.detail
    )


def _judge_open(client: Client, sent: Sent, closed: float | None, deadline: float) -> Verdict:
    if client.killed_at is not None:
        return Verdict.OF_KILLED
    # a client that ended in no way we know took its requests with it
    return Verdict.HUNG if closed is not None and closed - sent.at >= deadline else Verdict.LOST


def judge(caller: CallerKind, outcome: Outcome, seconds: float) -> Verdict:
    """What a request's own outcome means.

    >>> judge(CallerKind.STREAM, Outcome.UNAVAILABLE, 0.1)
    <Verdict.REFUSED: 'refused'>
    >>> judge(CallerKind.GRPC, Outcome.UNAVAILABLE, 119.0)
    <Verdict.FAILED: 'failed'>
    """
    match outcome:
        case Outcome.RIGHT:
            return Verdict.ANSWERED
        case Outcome.WRONG:
            return Verdict.WRONG
        case Outcome.UNAVAILABLE if caller.is_single_attempt and seconds <= AT_ONCE_SECONDS:
            return Verdict.REFUSED
    return Verdict.FAILED if outcome in _CLEAR else Verdict.UNCLEAR


def count_verdicts(requests: Iterable[Request]) -> dict[CallerKind, Counter[Verdict]]:
    """How many requests of each caller had each verdict."""
    counts: dict[CallerKind, Counter[Verdict]] = {}
    for request in requests:
        counts.setdefault(request.caller, Counter())[request.verdict] += 1
    return counts


def count_reasons(requests: Iterable[Request]) -> Counter[tuple[Verdict, str]]:
    """What those that were not answered were told, most frequent first, without what differs from case to case."""
    return Counter(
        (request.verdict, f"{request.outcome}: {generalise(request.detail)}")
        for request in requests
        if request.outcome not in (None, Outcome.RIGHT, Outcome.WRONG)
    )


def generalise(message: str) -> str:
    """A message without the numbers and names that differ from case to case.

    >>> generalise("no server at 127.0.0.1:41234; fault 3f9a0c12de in ocr_0_1 after 12.5 s")
    'no server at HOST; fault ID in ocr_N_N after N s'
    """
    message = re.sub(r"(ipv4:)?\b\d+\.\d+\.\d+\.\d+(%3A|:)\d+", "HOST", message)
    message = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f-]{8,}\b", "ID", message)
    return re.sub(r"\d+(\.\d+)?(e-?\d+)?", "N", message)
