"""Bodies of requests and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class UploadRequest(BaseModel):
    """What is to be uploaded: nothing needs to be said."""

    model_config = ConfigDict(extra="forbid")

    method: Literal["PUT", "POST"] | None = Field(
        None, description="How it is uploaded; POST, which bounds the length, where the front end has static keys"
    )


class UploadGrant(BaseModel):
    """Leave to upload one object, until `expires_at`. A form's fields come before its last, `file`."""

    bucket: str
    key: str
    method: Literal["PUT", "POST"]
    url: str
    fields: dict[str, str] = Field(description="The form's fields, for POST alone")
    max_bytes: int
    expires_at: datetime


class CompleteRequest(BaseModel):
    """An upload that is complete."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=1024)]


class Accepted(BaseModel):
    """A receipt that will be read. Its result is at `/results/{id}`, and in the store where `result` says."""

    id: str
    bucket: str
    key: str
    etag: str
    result: dict[str, str]


class Notification(BaseModel):
    """An event notification of the store; what it has beside `Records` is left alone."""

    model_config = ConfigDict(extra="allow")

    Records: list[dict[str, Any]] = []


class Taken(BaseModel):
    """How many records of a notification were taken."""

    records: int


class Health(BaseModel):
    """Whether it is healthy."""

    status: str
