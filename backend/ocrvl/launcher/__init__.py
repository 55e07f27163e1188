"""Starts a Triton server on this machine and keeps it running.

`locate` finds it, `runtime` prepares its environment, `server` runs it and reads its `log`, `supervise` restarts it by
what `watch` (its processes) and `hang` (its answers) find.
"""
