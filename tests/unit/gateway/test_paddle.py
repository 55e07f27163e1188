"""The gateway as clients of PaddleOCR's service see it: held to the schemas and the code of PaddleX's own."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from paddlex.inference.serving.infra.models import AIStudioNoResultResponse, AIStudioResultResponse
from paddlex.inference.serving.schemas import paddleocr_vl as official

from ocrvl.models.document.options import DocumentOptions
from ocrvl_client import InvalidRequest, ServerUnavailable
from ocrvl_gateway.paddle import mapping, schemas
from tests.support.gateways import IMAGE, GatewayClient, ScriptedReader, document, make_app, page

FILE = base64.b64encode(IMAGE).decode()
PARSE = "/layout-parsing"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (schemas.InferRequest, official.InferRequest),
        (schemas.RestructureRequest, official.RestructurePagesRequest),
        (schemas.Page, official.Page),
        (schemas.LayoutParsingResult, official.LayoutParsingResult),
        (schemas.InferResult, official.InferResult),
        (schemas.NoResultResponse, AIStudioNoResultResponse),
    ],
)
def test_fields_and_defaults_are_the_services_own(ours: Any, theirs: Any) -> None:
    assert {name: field.get_default() for name, field in ours.model_fields.items()} == {
        name: field.get_default() for name, field in theirs.model_fields.items()
    }


def test_every_option_of_the_service_is_one_of_ours_with_the_same_default() -> None:
    request = schemas.InferRequest(file=FILE)
    options = {
        mapping.snake_case(name): value for name, value in request.model_dump(exclude=set(mapping._NOT_OPTIONS)).items()
    }
    assert set(options) <= set(DocumentOptions.model_fields)
    defaults = DocumentOptions().model_dump()
    assert {name: defaults[name] for name, value in options.items() if value is not None} == {
        name: value for name, value in options.items() if value is not None
    }


def test_a_page_comes_back_in_the_services_form(reader: ScriptedReader, client: GatewayClient) -> None:
    images = {"imgs/a.jpg": b"crop", "page_0001.jpg": b"drawn", "page_0001_input.jpg": b"plain"}
    reader.items = [page(images=images), document()]
    answer = client.post(PARSE, json={"file": FILE, "fileType": 1, "logId": "order-7"})
    assert answer.status_code == 200
    parsed = AIStudioResultResponse[official.InferResult].model_validate(answer.json())
    assert (parsed.logId, parsed.errorCode, parsed.errorMsg) == ("order-7", 0, "Success")
    (result,) = parsed.result.layoutParsingResults
    assert result.markdown.text == "# Tea\n\nTwo cups."
    assert result.markdown.images == {"imgs/a.jpg": b64(b"crop")}
    assert result.outputImages == {"layout_det_res": b64(b"drawn")}
    assert result.inputImage == b64(b"plain")
    assert result.prunedResult["parsing_res_list"][1]["block_content"] == "Two cups."
    assert parsed.result.dataInfo.model_dump() == {"width": 100, "height": 60, "type": "image"}
    # as the service, without what is missing
    assert "exports" not in answer.json()["result"]["layoutParsingResults"][0]


def test_options_reach_the_server_in_snake_case_and_defaults_stay_the_servers(
    reader: ScriptedReader, client: GatewayClient
) -> None:
    sent = {
        "file": FILE,
        "useLayoutDetection": False,
        "promptLabel": "table",
        "layoutThreshold": {"3": 0.5},
        "layoutUnclipRatio": [1.1, 1.2],
        "maxNewTokens": 99,
        "vlmExtraArgs": {"table_max_pixels": 5000},
        "visualize": False,
        "topP": None,
    }
    assert client.post(PARSE, json=sent).status_code == 200
    file, options = reader.requests[0]
    assert file == IMAGE
    assert options == {
        "timeout": 3600.0,
        "max_pages": 200,
        "use_layout_detection": False,
        "prompt_label": "table",
        "layout_threshold": {"3": 0.5},
        "layout_unclip_ratio": [1.1, 1.2],
        "max_new_tokens": 99,
        "vlm_extra_args": {"table_max_pixels": 5000},
    }
    DocumentOptions.model_validate_json(json.dumps({k: v for k, v in options.items() if k != "timeout"}))


def test_pages_of_a_pdf_come_in_order_with_their_sizes_and_one_that_failed_in_its_place(
    reader: ScriptedReader, client: GatewayClient
) -> None:
    failed = page(1, 2, markdown="", content={}, images={})
    reader.items = [page(0, 2), type(failed)(**{**vars(failed), "error": "it could not be drawn"}), document()]
    result = client.post(PARSE, json={"file": b64(b"%PDF-1.7 pages"), "fileType": 0}).json()["result"]
    assert result["dataInfo"] == {
        "type": "pdf",
        "numPages": 2,
        "pages": [{"width": 100, "height": 60}, {"width": 0, "height": 0}],
    }
    assert result["layoutParsingResults"][1]["prunedResult"] == {"error": "it could not be drawn"}


def test_a_warning_of_a_page_is_beside_its_blocks(reader: ScriptedReader, client: GatewayClient) -> None:
    reader.items = [page(0, 2, warning="see markdown_ignore_labels"), page(1, 2), document()]
    first, second = client.post(PARSE, json={"file": FILE}).json()["result"]["layoutParsingResults"]
    assert first["prunedResult"]["warning"] == "see markdownIgnoreLabels"
    assert first["prunedResult"]["parsing_res_list"]
    assert "warning" not in second["prunedResult"]


def test_pages_and_dpi_are_fields_of_our_own(reader: ScriptedReader, client: GatewayClient) -> None:
    assert client.post(PARSE, json={"file": FILE, "pages": "1-2", "dpi": 72, "visualize": False}).status_code == 200
    assert reader.requests[0][1] == {"timeout": 3600.0, "max_pages": 200, "pages": "1-2", "dpi": 72}


def test_messages_about_options_have_the_names_that_the_client_sent(
    reader: ScriptedReader, client: GatewayClient
) -> None:
    reader.items = [InvalidRequest("options: use_doc_unwarping: this server has no model for it")]
    answer = client.post(PARSE, json={"file": FILE, "useDocUnwarping": True})
    assert answer.json()["errorMsg"] == "useDocUnwarping: this server has no model for it"


def test_a_word_document_comes_with_the_first_page(reader: ScriptedReader, client: GatewayClient) -> None:
    reader.items = [page(0, 2), page(1, 2), document(docx=b"PK word")]
    results = client.post(PARSE, json={"file": FILE, "outputFormats": ["docx"]}).json()["result"][
        "layoutParsingResults"
    ]
    assert results[0]["exports"] == {"docx": {"content": b64(b"PK word"), "fileName": "document.docx"}}
    assert "exports" not in results[1]
    assert reader.requests[0][1]["output_formats"] == ["docx"]


def test_images_are_left_out_where_the_request_or_the_settings_say_so(reader: ScriptedReader) -> None:
    quiet = GatewayClient(make_app(reader, visualize=False))
    result = quiet.post(PARSE, json={"file": FILE, "returnMarkdownImages": False}).json()["result"]
    assert "images" not in result["layoutParsingResults"][0]["markdown"]
    assert "visualize" not in reader.requests[0][1]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "file"),
        ({"file": FILE, "fileType": 2}, "fileType"),
        ({"file": FILE, "temperature": -1}, "temperature"),
        ({"file": FILE, "promptLabel": "poem"}, "promptLabel"),
        ({"file": FILE, "layoutThreshold": {"text": 0.5}}, "layoutThreshold"),
        ({"file": FILE, "minPixels": 9, "maxPixels": 8}, "minPixels"),
        ({"file": "%%%"}, "file"),
        ({"file": "https://example.com/a.pdf"}, "file"),
    ],
)
def test_what_is_wrong_is_named_in_the_services_envelope(
    body: dict[str, Any], name: str, reader: ScriptedReader, client: GatewayClient
) -> None:
    answer = client.post(PARSE, json=body)
    assert answer.status_code == 422
    envelope = AIStudioNoResultResponse.model_validate(answer.json())
    assert envelope.errorCode == 422
    assert name in envelope.errorMsg
    assert not reader.requests


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidRequest("300 pages, at most 200"), 422), (ServerUnavailable("it is full"), 503)]
)
def test_errors_of_the_server_come_in_the_envelope(
    error: Exception, status: int, reader: ScriptedReader, client: GatewayClient
) -> None:
    reader.items = [error]
    answer = client.post(PARSE, json={"file": FILE})
    assert answer.status_code == status
    assert answer.json()["errorCode"] == status
    assert answer.json()["errorMsg"] == str(error)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_health_is_answered_as_the_service_does(client: GatewayClient) -> None:
    health = AIStudioNoResultResponse.model_validate(client.get("/health").json())
    assert (health.errorCode, health.errorMsg) == (0, "Healthy")
