"""The model `paddleocr_vl`: one vLLM engine.

A request passes `dispatcher` → `admission` → `reader` → `supervisor` → `vllm_engine` (all that knows vLLM) →
`results`; `model` puts them together.
"""
