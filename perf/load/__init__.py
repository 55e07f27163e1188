"""Load profiles for perf_analyzer, run and reported: `python -m perf load`."""
