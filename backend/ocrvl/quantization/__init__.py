"""Checkpoints with fewer bits, in the format of compressed-tensors, which vLLM and transformers read.

The `schemes`, which `layers` there are, what becomes of a weight (`arithmetic`), the files (`weights`), the
`checkpoint`, and what it says of itself (`card`). Only arithmetic imports torch.
"""
