"""Object storage over S3's protocol: receipts are read as they were when their event was made, results written once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from ocrvl_receipts.objects import ObjectRef, strip_etag
from ocrvl_receipts.settings import StoreSettings

_CREDENTIAL_CODES: Final = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"),
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired"),
    }
)
"""S3's codes for credentials that it does not take, or no longer: all objects are refused alike."""

_BUSY_CODES: Final = frozenset({"SlowDown", "ServiceUnavailable", "Busy", "RequestLimitExceeded"})

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_UNREACHABLE: Final = re.compile(r"kind: Connect\b")
"""obstore's words for a connection that was refused."""

_ASKED: Final = re.compile(r"performing [A-Z]+ (\S+) in ")

_REQUEST_SECONDS: Final = 60.0
_MESSAGE_CHARACTERS: Final = 300


class StoreError(Exception):
    """Every error of the store; the message is the store's own, shortened."""


class ObjectNotFound(StoreError):
    """No such object, or no such bucket."""


class ObjectChanged(StoreError):
    """The object has another entity tag by now."""


class ObjectTooLarge(StoreError):
    """The object has more bytes than may be read."""


class AccessDenied(StoreError):
    """These credentials may not do this."""


class StoreUnavailable(StoreError):
    """Nobody can be served: no connection, too many requests, or credentials that are not taken any more."""


class StoreFault(StoreError):
    """The request failed, for whatever reason: it may succeed later."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a store says of an object."""

    ref: ObjectRef
    size: int


class ObjectStore:
    """The buckets of one store. Its methods raise `StoreError` and nothing else."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._buckets: dict[str, S3Store] = {}

    async def describe(self, bucket: str, key: str) -> ObjectInfo:
        """The object as it is now. Why it is refused is not known, since an answer to HEAD has no body."""
        with _errors(bucket):
            meta = await self.connect(bucket).head_async(key)
        return ObjectInfo(_ref(bucket, key, meta), meta["size"])

    async def read(self, ref: ObjectRef, max_bytes: int) -> bytes:
        """The object's bytes, if it is still the one that is meant."""
        options: Any = {"if_match": f'"{ref.etag}"', **({"version": ref.version} if ref.version else {})}
        with _errors(ref.bucket):
            result = await self.connect(ref.bucket).get_async(ref.key, options=options)
            if (size := result.meta["size"]) <= max_bytes:
                return bytes(await result.bytes_async())
        raise ObjectTooLarge(f"the object has {size} bytes, at most {max_bytes} are read")

    async def find(self, bucket: str, key: str) -> bytes | None:
        """The bytes of a result; None where there is no such object."""
        with _errors(bucket):
            try:
                return bytes(await (await self.connect(bucket).get_async(key)).bytes_async())
            except FileNotFoundError as error:
                if "<Code>NoSuchBucket</Code>" in str(error):
                    raise
        return None

    async def create(self, bucket: str, key: str, data: bytes) -> bool:
        """Write an object unless there is one; whether there was none."""
        attributes = {"Content-Type": "application/json"}
        with _errors(bucket):
            try:
                put = self.connect(bucket).put_async
                await put(key, data, mode="create", attributes=attributes, use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def connect(self, bucket: str) -> S3Store:
        """The client of one bucket."""
        if bucket not in self._buckets:
            self._buckets[bucket] = make_client(self._settings, bucket)
        return self._buckets[bucket]


def sign_put(settings: StoreSettings, bucket: str, key: str, seconds: int, endpoint: str | None = None) -> str:
    """A URL for a PUT of one object. Raises `StoreError` where there are no credentials to sign with."""
    with _errors(bucket):
        return obstore.sign(make_client(settings, bucket, endpoint), "PUT", key, timedelta(seconds=seconds))


def make_client(settings: StoreSettings, bucket: str, endpoint: str | None = None) -> S3Store:
    """A client of one bucket, at the settings' endpoint unless another is given. Who uses it retries, not it."""
    endpoint = endpoint or settings.endpoint
    config: dict[str, Any] = {"endpoint": endpoint.rstrip("/")} if endpoint else {}
    return S3Store(
        bucket,
        region=settings.region,
        client_options={
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "timeout": timedelta(seconds=_REQUEST_SECONDS),
        },
        retry_config={"max_retries": 0},
        **config,
    )


def _ref(bucket: str, key: str, meta: Any) -> ObjectRef:
    version = meta["version"]
    etag = strip_etag(meta["e_tag"] or "")
    return ObjectRef(bucket=bucket, key=key, etag=etag, version=None if version == "null" else version)


@contextmanager
def _errors(bucket: str) -> Iterator[None]:
    """Raises obstore's errors within the block as `StoreError`."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise _translate(error, bucket) from error


def _translate(error: Exception, bucket: str) -> StoreError:
    """The error of this module for one of obstore's, by its type, S3's code in the answer, or the status."""
    text = str(error)
    found, status, asked = _CODE.search(text), _STATUS.search(text), _ASKED.search(text)
    code = found[1] if found else ""
    message = _shorten(text, code)
    if code in _CREDENTIAL_CODES or code in _BUSY_CODES or isinstance(error, UnauthenticatedError):
        return StoreUnavailable(message)
    if isinstance(error, FileNotFoundError):
        return ObjectNotFound(message)
    if isinstance(error, PreconditionError):
        return ObjectChanged(message)
    if isinstance(error, PermissionDeniedError):
        return AccessDenied(message)
    if asked and bucket not in asked[1]:
        return StoreUnavailable(f"no credentials: {message}")
    if _UNREACHABLE.search(text) or (status and status[1] in ("429", "503")):
        return StoreUnavailable(message)
    return StoreFault(message)


def _shorten(text: str, code: str) -> str:
    """The first line, without what obstore adds for developers, and S3's code."""
    line = text.partition("\n")[0].partition(": <?xml")[0]
    return f"{line[:_MESSAGE_CHARACTERS]}{f': {code}' if code else ''}"
