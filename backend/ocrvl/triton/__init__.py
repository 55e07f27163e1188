"""The edge to Triton: `backend` (the one module that knows the Python backend), `loop` (coroutines beside it).

`lines` are those for its log, `context` is what it tells a model.
"""
