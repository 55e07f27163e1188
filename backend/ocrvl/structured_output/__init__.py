"""Structured output: checks of `json_schema` and `regex`, before an image is decoded or a text generated.

vLLM's backend for it is llguidance (`structured_outputs_config` in `ocrvl.engine_settings`), which also has the
last word here, so that what it cannot express is refused early, in the same words as in the engine.
"""

from ocrvl.structured_output.pattern import MAX_CHARACTERS, check_pattern
from ocrvl.structured_output.schema import check_schema

__all__ = ["MAX_CHARACTERS", "check_pattern", "check_schema"]
