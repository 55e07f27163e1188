"""This server and other systems that serve the same model, side by side: `python -m perf bench`."""
