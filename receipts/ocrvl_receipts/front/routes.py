"""Uploads, completed ones, the store's notifications, results."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from opentelemetry.trace import SpanKind

from ocrvl_gateway.errors import BadRequest
from ocrvl_gateway.json_body import BoundedJsonRoute
from ocrvl_gateway.openapi import error_responses
from ocrvl_receipts.errors import Refused
from ocrvl_receipts.events import Record, encode_upload
from ocrvl_receipts.front.dependencies import NotFound, Services, ServicesDep, Unavailable
from ocrvl_receipts.front.schemas import Accepted, CompleteRequest, Notification, Taken, UploadGrant, UploadRequest
from ocrvl_receipts.front.uploads import find_keys, form_url, put_url, sign_form
from ocrvl_receipts.kafka.producer import NotDelivered, RecordTooLarge
from ocrvl_receipts.objects import Upload, check_key
from ocrvl_receipts.store import ObjectNotFound, StoreError
from ocrvl_receipts.trace import HEADER as TRACEPARENT
from ocrvl_receipts.trace import follow, traceparent

router = APIRouter(tags=["Receipts"], route_class=BoundedJsonRoute)

ResultId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="The id that `/uploads/complete` answered")]


@router.post("/uploads", operation_id="createUpload", responses=error_responses(400, 401, 413, 429, 503))
async def create_upload(body: UploadRequest, services: ServicesDep) -> UploadGrant:
    """Leave to upload one receipt straight to the store, under a new key."""
    settings, keys = services.settings, find_keys()
    method = body.method or ("POST" if keys else "PUT")
    if method == "POST" and keys is None:
        raise BadRequest(
            "method: forms are signed with static keys, which this front end has not: use PUT", param="method"
        )
    key = f"{settings.upload_prefix}{uuid.uuid4().hex}"
    if keys is not None and method == "POST":
        url, fields = form_url(settings), sign_form(settings, key, keys)
    else:
        with _services_errors():
            # it may have to fetch credentials first
            url, fields = await asyncio.to_thread(put_url, settings, key), {}
    return UploadGrant(
        bucket=settings.buckets[0],
        key=key,
        method=method,
        url=url,
        fields=fields,
        max_bytes=settings.max_bytes,
        expires_at=datetime.now(UTC) + timedelta(seconds=settings.upload_seconds),
    )


@router.post(
    "/uploads/complete",
    status_code=202,
    operation_id="completeUpload",
    responses=error_responses(400, 401, 404, 413, 429, 503),
)
async def complete_upload(body: CompleteRequest, request: Request, services: ServicesDep) -> Accepted:
    """Have an uploaded receipt read; as often as this is called, there is one result."""
    settings = services.settings
    if not body.key.startswith(settings.upload_prefix):
        raise BadRequest(f"key: expected one that begins with {settings.upload_prefix!r}", param="key")
    with _services_errors():
        check_key(body.key)
        info = await services.store.describe(settings.buckets[0], body.key)
    if not 1 <= info.size <= settings.max_bytes:
        raise BadRequest(f"key: the object has {info.size} bytes, expected 1 to {settings.max_bytes}", param="key")
    with _producing(request, services):
        await _send(services, encode_upload(Upload(info.ref, datetime.now(UTC), traceparent())))
    digest = info.ref.digest(settings.pipeline_version)
    result = {"bucket": settings.results_bucket, "key": _result_key(services, digest)}
    return Accepted(id=digest, bucket=info.ref.bucket, key=info.ref.key, etag=info.ref.etag, result=result)


@router.post("/notifications", operation_id="notify", responses=error_responses(400, 401, 413, 429, 503))
async def notify(body: Notification, request: Request, services: ServicesDep) -> Taken:
    """Take an event notification of the store. What can be no receipt is told apart by workers, into `dlq`."""
    with _producing(request, services):
        headers = {"content-type": "application/json", TRACEPARENT: traceparent()}
        records = [
            Record(_object_key(record), json.dumps({"Records": [record]}).encode(), headers) for record in body.Records
        ]
        await asyncio.gather(*(_send(services, record) for record in records))
    return Taken(records=len(records))


@router.get(
    "/results/{result_id}",
    operation_id="getResult",
    response_class=Response,
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}}}, "description": "The result"},
        **error_responses(400, 401, 404, 429, 503),
    },
)
async def get_result(result_id: ResultId, services: ServicesDep) -> Response:
    """The result of a receipt; 404 until there is one."""
    with _services_errors():
        found = await services.store.find(services.settings.results_bucket, _result_key(services, result_id))
    if found is None:
        raise NotFound("no result yet, or none of that id", retry_after=1.0)
    return Response(found, media_type="application/json")


def _result_key(services: Services, digest: str) -> str:
    return f"{services.settings.results_prefix}{digest}.json"


def _object_key(record: Any) -> bytes | None:
    """The object's key, by which Kafka chooses a partition; None where there is none to be found."""
    try:
        return unquote_plus(record["s3"]["object"]["key"]).encode()
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _producing(request: Request, services: Services) -> AbstractContextManager[None]:
    """The step of the request's trace in which messages are sent."""
    return follow(f"send {services.settings.todo}", request.headers.get(TRACEPARENT), SpanKind.PRODUCER)


async def _send(services: Services, record: Record) -> None:
    assert services.sender is not None
    with _services_errors():
        await services.sender.send(services.settings.todo, record)


@contextmanager
def _services_errors() -> Iterator[None]:
    """Raises errors of the store, of the broker and of what a key may be as answers."""
    try:
        yield
    except Refused as error:
        raise BadRequest(f"key: {error.message}", param="key") from None
    except ObjectNotFound:
        raise NotFound("no such object: is the upload complete?") from None
    except RecordTooLarge as error:
        raise BadRequest(str(error)) from None
    except StoreError as error:
        raise Unavailable(f"the store: {error}", retry_after=1.0) from error
    except NotDelivered as error:
        raise Unavailable(f"the broker: {error}", retry_after=1.0) from error
