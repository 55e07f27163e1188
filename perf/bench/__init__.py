"""Ours against other ways to serve the same model, in one run, in turn: `python -m perf.bench`."""
