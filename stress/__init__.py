"""Tests that take minutes to hours: `python -m stress --help`."""
