"""Coverage-guided fuzzing of every decoder and parser: `python -m stress fuzz`, one module of `targets` each."""
