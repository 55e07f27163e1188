"""`ocrvl.structured_output.pattern`: regular expressions."""

from __future__ import annotations

from collections.abc import Sequence

from ocrvl.structured_output import check_pattern
from stress.fuzz.target import Target


def check(data: bytes) -> None:
    """A pattern is taken, or refused by a `ValueError` that says why."""
    try:
        check_pattern(data.decode("utf-8", "ignore"))
    except ValueError as error:
        assert str(error), "a refusal without a reason"


def seeds() -> Sequence[bytes]:
    """Patterns with every operator."""
    patterns = (r"[0-9]{4}-[0-9]{2}", r"(?:a|bc)*d+?e{2,5}", r"^\w{1,50} \d$", r"[^\s\W]|\x41\u00e9é", r"(a(b(c)?)+)*")
    refused = (r"(?=a)", r"(a)\1", r"\bx\B", r"(?i)a", r"a++", r"(?>a)", r"(?P<n>a)(?P=n)", r"\N{DIGIT ONE}", r"[a&&b]")
    return [pattern.encode() for pattern in (*patterns, *refused)]


TARGET = Target(
    check, seeds, ["(?:", "(?=", "(?P<a>", "{0,9}", "{99999}", r"\d", r"\p{L}", r"\Z", "[^", "|", ".*"], max_bytes=512
)
