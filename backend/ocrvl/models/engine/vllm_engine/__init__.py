"""The one package that knows vLLM: starts its engine, hands it ready patches, returns what it read.

Holds for vLLM 0.24 to 0.32. Where versions differ, vLLM itself is asked (the model's own field declarations, the
engine arguments' own names) rather than its version number. `arguments` are what an engine is started with,
`inputs` what it is sent, `outcomes` what becomes of that.
"""

from ocrvl.models.engine.vllm_engine.arguments import check_engine_args, run_headless_worker
from ocrvl.models.engine.vllm_engine.engine import VllmEngine
from ocrvl.models.engine.vllm_engine.memory import DeviceMemory, gpu_memory

__all__ = ["DeviceMemory", "VllmEngine", "check_engine_args", "gpu_memory", "run_headless_worker"]
