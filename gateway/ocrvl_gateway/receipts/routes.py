"""`/receipts`."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ocrvl_gateway.dependencies import Services, ServicesDep
from ocrvl_gateway.disconnect import cancel_on_disconnect
from ocrvl_gateway.encoding import decode_base64, encode_base64
from ocrvl_gateway.json_body import BoundedJsonRoute
from ocrvl_gateway.openapi import error_responses
from ocrvl_gateway.receipts.schemas import ReceiptRequest, receipt_schema

router = APIRouter(tags=["Receipts"], route_class=BoundedJsonRoute)


@router.post(
    "/receipts",
    operation_id="readReceipt",
    response_class=Response,
    responses={
        200: {"content": {"application/json": {"schema": receipt_schema()}}, "description": "The fields"},
        **error_responses(400, 401, 413, 429, 500, 503, 504),
    },
)
async def read_receipt(body: ReceiptRequest, request: Request, services: ServicesDep) -> Response:
    """Find the fields of a receipt: company, date, items, total and more, each with its box."""
    return await cancel_on_disconnect(request, _read(body, services))


async def _read(body: ReceiptRequest, services: Services) -> Response:
    if body.image.startswith(("http://", "https://")):
        image = await services.fetcher.fetch(body.image, "image")
    else:
        image = decode_base64(body.image, "image")
    options: Any = body.model_dump(exclude={"image"}, exclude_none=True)
    receipt = await services.reader.receipt(image, timeout=services.settings.timeout, **options)
    services.metrics.receipts.inc()
    drawing = {"drawing": encode_base64(receipt.drawing)} if receipt.drawing else {}
    return Response(json.dumps({**receipt.json, **drawing}, ensure_ascii=False), media_type="application/json")
