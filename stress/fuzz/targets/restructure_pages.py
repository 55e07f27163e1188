"""`ocrvl_gateway.paddle.restructure_worker`: the body of `/restructure-pages`, with PaddleX's own code behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ocrvl_gateway.paddle.restructure_worker import answer
from ocrvl_gateway.paddle.schemas import RestructureRequest
from ocrvl_gateway.paddle.worker_answer import decode_answer
from stress.fuzz.asgi import check_answer
from stress.fuzz.target import Target

_ROUTE = "/restructure-pages"


def check(data: bytes) -> None:
    """It is answered, or refused in few words."""
    # what large spans cost is bounded by the process, which is not here
    if any(len(digits) > 3 for digits in data.replace(b'"', b" ").split() if digits.isdigit()):
        return
    answered = decode_answer(answer(data, "id"))
    if isinstance(answered, bytes):
        assert json.loads(answered)["errorCode"] == 0
        return
    response = answered.to_response(_ROUTE, "id")
    check_answer(response.status_code, bytes(response.body))


def _page(*blocks: tuple[str, str], **more: object) -> dict[str, object]:
    listed = [
        {"block_label": label, "block_content": text, "block_bbox": [1, 9 * n, 90, 9 * n + 8], "block_id": n}
        for n, (label, text) in enumerate(blocks)
    ]
    settings = {"use_layout_detection": True, "use_doc_preprocessor": False, "use_chart_recognition": False}
    pruned = {"width": 99, "height": 99, "page_count": 1, "model_settings": settings, "parsing_res_list": listed}
    return {"prunedResult": {**pruned, "layout_det_res": {"boxes": []}}, **more}


def seeds() -> Sequence[bytes]:
    """Pages with a table that goes on, with titles, an image, a formula, and one that failed."""
    rows = "<table><tr><td>a</td><td colspan=2>b</td></tr></table>"
    crop = {"imgs/img_in_image_box_1_0_90_8.jpg": "AAAA"}
    objects = (
        {"pages": [_page(("doc_title", "# Tea"), ("table", rows)), _page(("table", rows), ("text", "end"))]},
        {"pages": [_page(("paragraph_title", "1 Tea"), ("formula", "$x^2$"))] * 2, "concatenatePages": True},
        {"pages": [_page(("image", ""), ("chart", "a|b"), markdownImages=crop)], "showFormulaNumber": True},
        {"pages": [{"prunedResult": {"error": "no"}}, _page(("number", "1"))], "prettifyMarkdown": False},
    )
    return [json.dumps(one).encode() for one in objects]


_KEYS = [*RestructureRequest.model_fields, "block_label", "block_content", "block_bbox", "group_id", "image"]

TARGET = Target(check, seeds, [f'"{key}":' for key in _KEYS] + ["<td>", "<tr>", "<table>", "rowspan=2", "null"])
