"""What an attack is, and what is held against it afterwards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ocrvl.wire import ErrorCode
from stress.hostile.attack_context import CLOSED, NO_ANSWER, AttackContext


@dataclass(frozen=True)
class Attack:
    """Something a hostile or a broken caller does.

    `run` does it and counts what came back. Where there must be an answer to everything, `is_answered` holds; some ask
    for none, and hold connections open. `ends_server` marks what is known to end Triton 2.51 itself: then the server
    must be back, and is all that is asked. Without `keeps_log` the log may lack answers that callers have. Where
    `allows` is set, a pattern, nothing else may come back.
    """

    name: str
    sent: str
    run: Callable[[AttackContext], Counter[str]]
    is_answered: bool = True
    ends_server: bool = False
    keeps_log: bool = True
    allows: str = ""

    def faults(self, came_back: Counter[str]) -> list[str]:
        """What must not have come back; `INTERNAL` alone is gRPC's own word for what is no protobuf."""
        if not self.is_answered or self.ends_server:
            return []
        return [f"{count} times {answer!r}" for answer, count in came_back.items() if self._is_fault(answer)]

    def _is_fault(self, answer: str) -> bool:
        if self.allows:
            return not re.fullmatch(self.allows, answer)
        return answer in (NO_ANSWER, CLOSED) or f" {ErrorCode.INTERNAL}" in answer
