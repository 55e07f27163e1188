"""PaddleOCR-VL on Triton: the server's side, importable and testable without Triton and without vLLM.

In the order in which a request passes: `wire` (names on the wire), `options`, `imaging` (bytes to patches), `messages`
(from one model to the next), `prompts`, `models` (a package for each of Triton's), `vllm_plugin`, `postprocess`. Only
`triton` imports Triton's Python backend; `repository` renders a model repository, `launcher` starts a server.
"""

__version__ = "0.1.0"
