"""Leave to upload one object straight to the store: a URL for PUT, or a form for POST that bounds its length."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from ocrvl_receipts.settings import FrontSettings
from ocrvl_receipts.store import sign_put

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Keys:
    """Static keys of the store, as AWS's variables have them."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def find_keys(environment: Mapping[str, str] = os.environ) -> Keys | None:
    """The keys that forms are signed with; None where there are none, as with a web identity or a machine's role."""
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    return Keys(key, secret, environment.get("AWS_SESSION_TOKEN")) if key and secret else None


def put_url(settings: FrontSettings, key: str) -> str:
    """A URL for a PUT of this object. It bounds no length: that is checked when the upload is complete."""
    return sign_put(settings, settings.buckets[0], key, settings.upload_seconds, settings.public_endpoint)


def form_url(settings: FrontSettings) -> str:
    """Where forms are sent to: the bucket."""
    endpoint, bucket = settings.public_endpoint or settings.endpoint, settings.buckets[0]
    return f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.{settings.region}.amazonaws.com/"


def sign_form(settings: FrontSettings, key: str, keys: Keys, now: datetime | None = None) -> dict[str, str]:
    """The fields of a form for a POST of this object, of 1 to `max_bytes` bytes.

    As AWS Signature Version 4 has it for browser-based uploads: the policy in base64 is what is signed. The file is the
    form's last field, `file`.
    """
    now = now or datetime.now(UTC)
    day, time = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{day}/{settings.region}/s3/aws4_request"
    fields = {
        "key": key,
        "x-amz-algorithm": _ALGORITHM,
        "x-amz-credential": f"{keys.access_key_id}/{scope}",
        "x-amz-date": time,
    }
    if keys.session_token:
        fields["x-amz-security-token"] = keys.session_token
    conditions = [
        {"bucket": settings.buckets[0]},
        *({name: value} for name, value in fields.items()),
        ["content-length-range", 1, settings.max_bytes],
    ]
    expiration = (now + timedelta(seconds=settings.upload_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy = base64.b64encode(json.dumps({"expiration": expiration, "conditions": conditions}).encode())
    signing_key = f"AWS4{keys.secret_access_key}".encode()
    for part in scope.split("/"):
        signing_key = _hmac(signing_key, part.encode())
    return {**fields, "policy": policy.decode(), "x-amz-signature": _hmac(signing_key, policy).hex()}


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()
