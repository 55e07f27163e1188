"""What `ocrvl doctor` does: it gathers facts of this machine, and judges them by functions that need nothing else."""
