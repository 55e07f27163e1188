"""Structured output: what a caller may ask the text to be, checked before anything is decoded or generated.

vLLM's backend for it is llguidance (`structured_outputs_config` in `ocrvl.engine_settings`), which also has the
last word here, so that what it cannot express is refused at the door, in the same words as in the engine.
"""

from ocrvl.structured_output.pattern import MAX_CHARACTERS, check_pattern
from ocrvl.structured_output.schema import check_schema

__all__ = ["MAX_CHARACTERS", "check_pattern", "check_schema"]
