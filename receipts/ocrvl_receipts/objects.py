"""Objects in a store: which one an event is about, and which keys can be read at all."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from ocrvl.validation import find_field_errors
from ocrvl_receipts.errors import Code, Refused

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def strip_etag(etag: str) -> str:
    """An entity tag without its quotes: events have it so, HTTP headers with them.

    >>> strip_etag('"9b2cf5"'), strip_etag("9b2cf5")
    ('9b2cf5', '9b2cf5')
    """
    return etag.strip('"')


class ObjectRef(BaseModel, frozen=True):
    """One state of one object: a new upload under the same key has another entity tag.

    Made of an event, it knows no other keys and leaves them alone: a later minor version may have some.
    """

    bucket: Annotated[str, Field(min_length=3, max_length=255)]
    key: Annotated[str, Field(min_length=1, max_length=1024)]
    etag: Annotated[str, AfterValidator(strip_etag), Field(min_length=1, max_length=256, pattern=r"^[!-~]+$")]
    version: str | None = None

    def digest(self, pipeline_version: str) -> str:
        """The name of its result, the same wherever and however often it is read by this version of the pipeline.

        >>> one = ObjectRef(bucket="receipts", key="a.png", etag="9b2cf5")
        >>> one.digest("1") == one.digest("1") != one.digest("2"), len(one.digest("1"))
        (True, 64)
        """
        parts = json.dumps([self.bucket, self.key, self.etag, pipeline_version])
        return hashlib.sha256(parts.encode()).hexdigest()

    def to_dict(self) -> dict[str, str]:
        """As it stands in events and results."""
        return self.model_dump(exclude_none=True)


@dataclass(frozen=True)
class Upload:
    """An uploaded receipt: where it lies, since when, and the `traceparent` of what told of it."""

    ref: ObjectRef
    time: datetime | None = None
    traceparent: str | None = None


def parse_ref(value: Mapping[str, Any]) -> ObjectRef:
    """The object that a JSON object names. Raises `Refused` that says what is wrong with it."""
    try:
        ref = ObjectRef.model_validate(dict(value))
    except ValidationError as error:
        problems = "; ".join(problem.describe() for problem in find_field_errors(error))
        raise Refused(Code.BAD_EVENT, f"the event: {problems}") from None
    check_key(ref.key)
    return ref


def check_key(key: str) -> None:
    """Refuse keys that an object can have in S3, but that this client's URLs do not lead to. Raises `Refused`.

    >>> check_key("in/a+b%2F c#?.png")
    >>> check_key("a//b")
    Traceback (most recent call last):
    ocrvl_receipts.errors.Refused: the key 'a//b' has an empty part, ...
    """
    if _CONTROL.search(key) or any(part in ("", ".", "..") for part in key.split("/")):
        raise Refused(
            Code.KEY_NOT_SUPPORTED,
            f"the key {key[:100]!r} has an empty part, `.`, `..` or a control character, which is not supported: "
            "copy the object under another key",
        )


def parse_time(text: object) -> datetime | None:
    """A time with its zone, as events have it; None for anything else.

    >>> parse_time("2026-11-30T18:30:37.123Z").isoformat(), parse_time("now")
    ('2026-11-30T18:30:37.123000+00:00', None)
    """
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else None
