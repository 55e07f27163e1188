"""One-off makers of what the repository ships; run from its root, as `python -m tools.<name>`."""
