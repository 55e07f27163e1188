"""Triton's API: `backend` (the one module that knows its Python backend), and what models see of it (`context`).

`loop` runs coroutines beside its threads, `log_writer` writes to its log, `shared_memory` is what answers go through.
"""
