"""The edge to Triton: `backend` (the one module that knows the Python backend), `loop` (coroutines beside it)."""
