"""Load tests and benchmarks: `python -m perf`."""
