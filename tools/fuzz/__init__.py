"""Coverage-guided fuzzing of every decoder and parser: `python -m tools.fuzz`, one module of `targets` each."""
