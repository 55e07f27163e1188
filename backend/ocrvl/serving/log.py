"""Reading Triton's log: which models are still loading, and why one did not."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

_LOADING = re.compile(r'"loading: (?P<model>[\w.-]+):\d+"')
_LOADED = re.compile(r"\"successfully loaded '(?P<model>[\w.-]+)'")
_FAILED = re.compile(r"failed to load '(?P<model>[\w.-]+)' version \d+: (?P<cause>.*)")
_ENGINE_CAUSE = re.compile(
    r"\((?:EngineCore|Worker)[^)]*\) ERROR .*?\] (?P<cause>\w+(?:\.\w+)*(?:Error|Exception): .*)"
)
_SERVER_ERROR = re.compile(r"^(?:E\d{4} \S+ +\d+ \S+\] |error: )(?P<text>.*)")
_ENGINE_WRAPPER = "Engine core initialization failed"
_KEPT_LINES = 400


@dataclass
class LoadingLog:
    """Follows a starting server's log, a line at a time."""

    loading: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    _causes: dict[str, str] = field(default_factory=dict)
    _engine_cause: str = ""
    _errors: deque[str] = field(default_factory=lambda: deque(maxlen=5))
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def add(self, line: str) -> None:
        """Take in one line."""
        self._tail.append(line)
        if match := _LOADING.search(line):
            self.loading.add(match["model"])
        elif match := _LOADED.search(line):
            self.loaded.add(match["model"])
        elif match := _FAILED.search(line):
            self._causes.setdefault(match["model"], _unquote(match["cause"]))
        elif match := _ENGINE_CAUSE.search(line):
            # the first is the root: the others are raised because of it
            self._engine_cause = self._engine_cause or match["cause"].strip()
        elif match := _SERVER_ERROR.search(line):
            self._errors.append(_unquote(match["text"]))

    @property
    def waiting_for(self) -> list[str]:
        """Models that are loading and not yet loaded."""
        return sorted(self.loading - self.loaded - set(self._causes))

    def tail(self, lines: int) -> list[str]:
        """The last lines."""
        return list(self._tail)[-lines:]

    def causes(self) -> list[str]:
        """Why the server did not start, a line a cause; what Triton or the system said where no model is to blame."""
        lines = []
        for model, cause in sorted(self._causes.items()):
            if _ENGINE_WRAPPER in cause and self._engine_cause:
                cause = self._engine_cause
            lines.append(f"{model}: {cause}")
        return lines or list(self._errors) or self.tail(5)


def _unquote(text: str) -> str:
    """A cause without Triton's status words and quotation marks."""
    text = text.strip().strip('"')
    while match := re.match(r"(?:Internal|Invalid argument|Unavailable|Unknown|Not found)(?:: | - )", text):
        text = text[match.end() :]
    return text
