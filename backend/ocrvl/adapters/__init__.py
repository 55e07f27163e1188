"""LoRA adapters as files: read, checked against a checkpoint, converted from other trainers' forms, and merged.

`names` are modules' names, `folder` an adapter's files, `check` what stands against serving it, `convert` and `merge`
what is written of it.
"""
