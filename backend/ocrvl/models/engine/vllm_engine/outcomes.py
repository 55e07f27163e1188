"""What becomes of a request to vLLM: its reason to finish, and its errors, as this project has them."""

from __future__ import annotations

from ocrvl.errors import Cancelled, InvalidArgument, OcrError, Unavailable
from ocrvl.wire import FinishReason


def finish_reason(reason: str | None) -> FinishReason:
    """Why generation ended. Raises `Cancelled` or `Unavailable` where it did not end by itself."""
    if reason == "abort":
        raise Cancelled("the engine was told to end this request")
    if reason == "error" or reason is None:
        raise Unavailable("the engine could not finish this image, send it again")
    return FinishReason(reason)


def _request_errors() -> tuple[type[Exception], ...]:
    """What vLLM raises for parameters that it refuses: a `ValueError` at first, a class of its own later on."""
    from vllm import exceptions

    return (ValueError, *filter(None, [getattr(exceptions, "VLLMClientError", None)]))


def translate_error(error: Exception) -> OcrError | None:
    """Our error for one of vLLM's; None for what nobody foresaw, which the edge logs under an id."""
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    if isinstance(error, EngineDeadError | EngineGenerateError):
        return Unavailable("the engine has stopped")
    if isinstance(error, _request_errors()):
        # structured outputs, for example, are compiled when a request is added
        return InvalidArgument(f"options: {' '.join(str(error).split())}")
    return None
