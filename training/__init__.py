"""Training of the embedded checkpoints."""
