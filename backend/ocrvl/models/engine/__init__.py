"""The model `paddleocr_vl`: one vLLM engine.

A request passes `dispatcher` → `admission` → `reader` → `supervisor` → `vllm_engine` (the one module that knows vLLM) →
`results`; `model` puts them together.
"""
