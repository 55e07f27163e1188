r"""Regular expressions that a caller sends: what they may contain, and how much they may cost.

They are written as for Python's `re`. vLLM matches them with llguidance, token by token, in the loop that serves every
request; what the two do not understand alike is refused here.

The bounds come from growing patterns on llguidance 1.7.6 with a vocabulary of 103,424 tokens, PaddleOCR-VL's size, on
one core of a shared machine. Of 2,000 random patterns that are accepted, the slowest compiled in 9 ms, took 7 ms for a
token, and none failed. Beyond the bounds llguidance gives up in the middle of a text, which then ends there: at 40
`\w?` or 128 `[a-z]?` in a row, at `(\w{1,8}\s?){1,8}`, `\S*\w\S{30}`, `a{300000}`. xgrammar 0.2.8, the backend that
vLLM takes by default, does not even give up: 100 `[a-z]?` compile for 80 s, and `(.{1,3}){1,30}` takes 4 s for every
token, in the loop that serves all requests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Final

from llguidance import LLMatcher, grammar_from

from ocrvl.structured_output.regex_cost import REPEATS, Part, bodies, estimate_cost, most_repeats

MAX_CHARACTERS: Final = 4096
"""Length of a pattern."""

MAX_REPETITION: Final = 10_000
"""Times that a part may be repeated, the counts around it multiplied in. `a{10000}` takes 8 ms for a token."""

MAX_NESTING: Final = 32
"""Groups and repetitions inside one another."""

MAX_COST: Final = 100
"""Places in a pattern where a text may be at once (`estimate_cost`)."""

_REFUSED: Final = {
    sre.ASSERT: "looking ahead or behind is not supported: describe the whole text",
    sre.ASSERT_NOT: "looking ahead or behind is not supported: describe the whole text",
    sre.GROUPREF: "references to groups are not supported: write the group again",
    sre.GROUPREF_EXISTS: "conditions on groups are not supported: write alternatives",
    sre.POSSESSIVE_REPEAT: "possessive repetition is not supported: leave out the second +",
    sre.ATOMIC_GROUP: "atomic groups are not supported: write (?:...)",
}
_REFUSED_PLACES: Final = {
    sre.AT_BOUNDARY: r"\b is not supported: describe the characters on both sides",
    sre.AT_NON_BOUNDARY: r"\B is not supported: describe the characters on both sides",
    sre.AT_END_STRING: r"\Z is not supported: write $",
}


@lru_cache(maxsize=128)
def check_pattern(pattern: str) -> None:
    """Raises `ValueError`, saying what is wrong and where, for a pattern that cannot guide generation."""
    if len(pattern) > MAX_CHARACTERS:
        raise ValueError(f"{len(pattern)} characters, at most {MAX_CHARACTERS} are taken")
    if "\x00" in pattern:
        raise ValueError("the character NUL is not supported")
    _check_sets(pattern)
    try:
        tree = _parser.parse(pattern)
    except re.error as error:
        raise ValueError(f"{error.msg} at position {error.pos}") from None
    except OverflowError:
        raise ValueError(f"a part is repeated too often, at most {MAX_REPETITION} times are taken") from None
    except RecursionError:
        raise ValueError(f"more than {MAX_NESTING} groups are inside one another") from None
    if tree.state.flags != re.UNICODE.value:
        raise ValueError("flags like (?i) are not supported: write [Aa]")
    _check_parts(tree, 1, MAX_NESTING)
    if (cost := estimate_cost(tree)) > MAX_COST:
        raise ValueError(
            f"too costly to match ({cost}, at most {MAX_COST} is taken): let what follows a repetition begin with "
            "a character that the repeated part cannot begin with, or repeat less often"
        )
    if problem := LLMatcher.validate_grammar(grammar_from("regex", pattern)):
        raise ValueError(_reason(problem))


def _check_sets(pattern: str) -> None:
    """Refuse combinations of sets, which are plain characters to Python: `[a&&b]`, `[[a]b]`."""
    opening = None
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if opening is None:
            opening = position if char == "[" else None
        elif char == "]" and pattern[opening + 1 : position] not in ("", "^"):
            opening = None
        elif char == "[" or (char in "&|~-" and pattern[position + 1 : position + 2] == char):
            raise ValueError(f"sets of characters cannot be combined: write \\{char} at position {position}")
        position += 2 if char == "\\" else 1


def _check_parts(parts: Sequence[Part], around: int, depth: int) -> None:
    if not depth:
        raise ValueError(f"more than {MAX_NESTING} groups are inside one another")
    for operator, argument in parts:
        times = around
        if problem := _REFUSED.get(operator) or (operator is sre.AT and _REFUSED_PLACES.get(argument)):
            raise ValueError(problem)
        if operator is sre.SUBPATTERN and (argument[1] or argument[2]):
            raise ValueError("flags like (?i:...) are not supported: write [Aa]")
        if operator in REPEATS:
            times *= most_repeats(argument)
            if times > MAX_REPETITION:
                raise ValueError(f"a part is repeated {times} times, at most {MAX_REPETITION} times are taken")
        for body in bodies(operator, argument):
            _check_parts(body, times, depth - 1)


def _reason(problem: str) -> str:
    """What llguidance says is wrong, without the pattern, which it repeats several times."""
    if "lookarounds not supported" in problem:
        return "^ and $ can only be at the beginning and the end"
    found = re.search(r"^ {4}( *)\^+\nerror: (.*)$", problem, re.MULTILINE)
    return f"{found[2]} at position {len(found[1])}" if found else problem.splitlines()[0]
