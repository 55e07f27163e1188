"""How many places of a pattern a text can be in at once: what matching it token by token costs."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from re import _constants as sre  # type: ignore[attr-defined]
from typing import Any, Final

REPEATS: Final = (sre.MAX_REPEAT, sre.MIN_REPEAT)

Part = tuple[Any, Any]
"""An operator and its argument, as Python's own parser of patterns gives them."""

_BEYOND_ASCII: Final = 4
"""What a place counts for whose characters are not ASCII alone: the engine follows their bytes."""

_SAMPLES: Final = "²éß\u00a0٣中\u2028😀"
"""Characters that stand for those beyond ASCII: a digit, letters, spaces, a symbol."""

_CATEGORIES: Final[dict[Any, Callable[[str], bool]]] = {
    sre.CATEGORY_DIGIT: str.isdecimal,
    sre.CATEGORY_NOT_DIGIT: lambda char: not char.isdecimal(),
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    sre.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
    sre.CATEGORY_NOT_WORD: lambda char: not (char.isalnum() or char == "_"),
}


def most_repeats(repeat: Sequence[Any]) -> int:
    """How often a repetition runs at most; an endless one as often as it must, at least once."""
    low, high, _ = repeat
    return max(1, int(low if high is sre.MAXREPEAT else high))


def bodies(operator: Any, argument: Any) -> list[Sequence[Part]]:
    """The sequences inside a part: of a repetition, a group, or the alternatives."""
    if operator in REPEATS:
        return [argument[2]]
    if operator is sre.SUBPATTERN:
        return [argument[3]]
    return list(argument[1]) if operator is sre.BRANCH else []


def estimate_cost(parts: Sequence[Part]) -> int:
    """An estimate from above of the places that a text can be in at once, in addition to one.

    A repetition is ambiguous where a character could begin another round as well as what follows. It then counts as
    often as it can run, times the counts of the repetitions around it; an endless one also leaves open where the
    sets of characters after it begin, so it counts with their number. Alternatives that begin alike are ambiguous
    inside a repetition.

    >>> from re import _parser
    >>> [estimate_cost(_parser.parse(pattern)) for pattern in ("[a-z]{1,50},", "[a-z]{1,50}[0-9]", "[a-z]{1,50}x")]
    [0, 0, 50]
    """
    estimate = _Estimate(parts)
    estimate.walk(parts, follow=0, around=1, later=0)
    return estimate.total


class _Estimate:
    """Sets of characters are bit masks over those that matter: ASCII, the pattern's own, and samples of the others."""

    def __init__(self, parts: Sequence[Part]) -> None:
        points = {*range(128), *map(ord, _SAMPLES)}
        _collect_points(parts, points)
        self._points = sorted(point for point in points if point <= sys.maxunicode)
        self._all = (1 << len(self._points)) - 1
        self._beyond_ascii = self._all & ~self._between(0, 127)
        self._categories = {name: self._matching(test) for name, test in _CATEGORIES.items()}
        self._firsts: dict[int, tuple[int, bool]] = {}
        self.total = 0

    def walk(self, parts: Sequence[Part], follow: int, around: int, later: int) -> None:
        """Count a sequence, from its end.

        `follow` are the characters that can come after it, `around` the product of the counts around it, `later` the
        number of sets of characters that come after it.
        """
        for part in reversed(list(parts)):
            operator, argument = part
            first, can_be_empty = self._first(part)
            if operator in REPEATS:
                self._count_repeat(argument, first, follow, around, later)
            else:
                if operator is sre.BRANCH:
                    self._count_alternatives(argument[1], follow if can_be_empty else 0, around)
                for body in bodies(operator, argument):
                    self.walk(body, follow, around, later)
            later += _num_sets(part)
            follow = first | (follow if can_be_empty else 0)

    def _count_repeat(self, repeat: Sequence[Any], first: int, follow: int, around: int, later: int) -> None:
        low, high, body = repeat
        times = most_repeats(repeat)
        if low != high and first & follow:
            self._add((times + later if high is sre.MAXREPEAT else times) * around, first)
        self.walk(body, follow | (first if high > 1 else 0), around * times, later)

    def _count_alternatives(self, branches: Sequence[Sequence[Part]], follow: int, around: int) -> None:
        """`follow` are the characters that can come instead of one, where an alternative can be empty."""
        seen = 0
        for branch in branches:
            first, _ = self._first_of(branch)
            if first & follow:
                self._add(around, first)
            # words that begin alike are told apart within a few characters, and outside repetitions once and for all
            elif first & seen and first.bit_count() > 1 and around > 1:
                self._add(2 * around, first)
            seen |= first

    def _add(self, places: int, characters: int) -> None:
        self.total += places * (_BEYOND_ASCII if characters & self._beyond_ascii else 1)

    def _first(self, part: Part) -> tuple[int, bool]:
        """The characters that a part can begin with, and whether it can be empty."""
        if (known := self._firsts.get(id(part))) is None:
            known = self._firsts[id(part)] = self._find_first(*part)
        return known

    def _first_of(self, parts: Sequence[Part]) -> tuple[int, bool]:
        mask = 0
        for part in parts:
            first, can_be_empty = self._first(part)
            mask |= first
            if not can_be_empty:
                return mask, False
        return mask, True

    def _find_first(self, operator: Any, argument: Any) -> tuple[int, bool]:
        if operator is sre.AT:
            return 0, True
        if not (inside := bodies(operator, argument)):
            return self._characters(operator, argument), False
        mask, can_be_empty = 0, operator in REPEATS and argument[0] == 0
        for body in inside:
            first, empty = self._first_of(body)
            mask, can_be_empty = mask | first, can_be_empty or empty
        return mask, can_be_empty

    def _characters(self, operator: Any, argument: Any) -> int:
        if operator is sre.LITERAL:
            return self._between(argument, argument)
        if operator is sre.NOT_LITERAL:
            return self._all & ~self._between(argument, argument)
        if operator is sre.ANY:
            return self._all & ~self._between(ord("\n"), ord("\n"))
        if operator is sre.RANGE:
            return self._between(*argument)
        if operator is sre.CATEGORY:
            return self._categories[argument]
        negated = argument[0][0] is sre.NEGATE
        mask = 0
        for item in argument[negated:]:
            mask |= self._characters(*item)
        return self._all & ~mask if negated else mask

    def _between(self, low: int, high: int) -> int:
        return (1 << bisect_left(self._points, high + 1)) - (1 << bisect_left(self._points, low))

    def _matching(self, test: Callable[[str], bool]) -> int:
        return sum(1 << bit for bit, point in enumerate(self._points) if test(chr(point)))


def _num_sets(part: Part) -> int:
    """The number of sets of characters in a part, repeated ones as often as they are repeated."""
    operator, argument = part
    sizes = [sum(map(_num_sets, body)) for body in bodies(operator, argument)]
    if operator in REPEATS:
        return most_repeats(argument) * max(1, *sizes)
    return max(sizes, default=int(operator in (sre.IN, sre.ANY, sre.NOT_LITERAL)))


def _collect_points(parts: Sequence[Part], points: set[int]) -> None:
    """Add the characters at which the sets of a pattern begin and end."""
    for operator, argument in parts:
        if operator in (sre.LITERAL, sre.NOT_LITERAL):
            points.update((argument, argument + 1))
        elif operator is sre.RANGE:
            points.update((argument[0], argument[1], argument[1] + 1))
        elif operator is sre.IN:
            _collect_points(argument, points)
        for body in bodies(operator, argument):
            _collect_points(body, points)
