"""A server under load for a long time: `python -m stress.endurance.faults` and `python -m stress.endurance.soak`."""
