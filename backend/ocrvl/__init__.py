"""PaddleOCR-VL on Triton: the server's side, importable and testable without Triton and without vLLM.

Modules stand in the order an image meets them: `wire` (names on the wire), `options`, `images` (bytes to
patches), `hop` (what one model hands to the next), `prompts`, `engine` (vLLM), `postprocess`, `collect` (the answer);
`triton` is the only package that knows Triton's Python backend, `serving` starts a server.
"""

__version__ = "0.1.0"
