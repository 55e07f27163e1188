"""Makers of what the repository ships, and its demo: from its root, `python -m tools.NAME --help`."""
