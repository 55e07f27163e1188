"""Training of the embedded checkpoints: `python -m training --help`."""
