"""Attacks on a real server, and what they cost those who mean well: `python -m stress hostile`."""
