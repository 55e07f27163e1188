"""The engine: `settings` (what is asked of vLLM), `vllm_engine` (the one module that knows vLLM)."""
