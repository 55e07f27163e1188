"""The worker of one request of `/restructure-pages`: from the bytes of its body to those of its answer."""

from __future__ import annotations

import logging

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from ocrvl_gateway.errors import BadRequest, Refusal
from ocrvl_gateway.paddle.restructure import restructure
from ocrvl_gateway.paddle.schemas import RestructureRequest, RestructureResponse, RestructureResult
from ocrvl_gateway.paddle.worker_answer import encode_problem, encode_result
from ocrvl_gateway.problems import problem_of

_log = logging.getLogger(__name__)


def answer(body: bytes, request_id: str) -> bytes:
    """The encoded response or problem, see `worker_answer`. Raises nothing."""
    try:
        request = RestructureRequest.model_validate_json(body)
        del body
        result = RestructureResult(layoutParsingResults=restructure(request))
        response = RestructureResponse(logId=request.logId or request_id, result=result)
        # as the service does, without fields that are not set
        return encode_result(response.model_dump_json(exclude_none=True).encode())
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        problem = problem_of(
            RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in problems]), request_id
        )
    except MemoryError:
        problem = problem_of(BadRequest("pages: they take too much memory, send fewer at a time"), request_id)
    except Exception as error:
        if not isinstance(error, Refusal):
            _log.exception("restructuring pages of %s", request_id)
        problem = problem_of(error, request_id)
    return encode_problem(problem)
