"""A server under load for a long time: faults, memory, real documents."""
