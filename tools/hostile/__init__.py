"""Attacks on a real server, and what they cost those who mean well: `python -m tools.hostile`."""
