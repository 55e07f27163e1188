"""API keys: only their hashes are kept, and a comparison takes as long for a wrong key as for a right one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

_HASHED = "sha256:"
_SCHEMES = ("bearer", "token")
"""OpenAI's, and the one of PaddleOCR's hosted service."""


class ApiKeys:
    """The keys that are accepted, each as it is or as `sha256:` and its hash; without keys everybody is.

    >>> keys = ApiKeys(["a-key-of-some-length"])
    >>> keys.find("Bearer a-key-of-some-length") == keys.find("token a-key-of-some-length") != None
    True
    >>> keys.find("Bearer another") is keys.find(None) is None
    True
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._hashes = [
            bytes.fromhex(key.removeprefix(_HASHED)) if key.startswith(_HASHED) else _hash(key) for key in keys
        ]

    @property
    def are_required(self) -> bool:
        """Whether a request must bring one."""
        return bool(self._hashes)

    def find(self, authorization: str | None) -> str | None:
        """The name of the key in this header, safe to be kept and counted by; None where it is not one of them."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() not in _SCHEMES:
            return None
        hashed = _hash(key.strip())
        # all are compared, whichever it is
        found = [hmac.compare_digest(hashed, known) for known in self._hashes]
        return hashed.hex()[:16] if any(found) else None


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
