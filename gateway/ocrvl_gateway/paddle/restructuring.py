"""One request of `/restructure-pages`, from the bytes of its body to those of its answer."""

from __future__ import annotations

import logging
from typing import Final

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from ocrvl_gateway.errors import BadRequest, Refusal, problem_of
from ocrvl_gateway.paddle.restructure import restructure
from ocrvl_gateway.paddle.schemas import RestructureRequest, RestructureResponse, RestructureResult

_log = logging.getLogger(__name__)

ANSWERED: Final = b"+"
"""What the bytes of an answer begin with; those of a problem begin with another."""


def answer(body: bytes, request_id: str) -> bytes:
    """`ANSWERED` and the response, or the problem as `Problem.to_json`; nothing is raised."""
    try:
        request = RestructureRequest.model_validate_json(body)
        del body
        result = RestructureResult(layoutParsingResults=restructure(request))
        response = RestructureResponse(logId=request.logId or request_id, result=result)
        # as the service does, without what is not there
        return ANSWERED + response.model_dump_json(exclude_none=True).encode()
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
    return problem.to_json()
