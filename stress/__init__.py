"""Tests that take minutes to hours: faults under load, attacks, fuzzing."""
