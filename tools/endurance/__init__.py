"""A server under load for a long time: `python -m tools.endurance.faults` and `python -m tools.endurance.soak`."""
