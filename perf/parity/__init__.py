"""Does the served model say what the model says? Ours, end to end, against transformers, both in float32.

In the order in which it runs: `images` draws what is read, `reference` is transformers, `engine` and `run` are
ours, `comparison` holds the two side by side, with the bounds.
"""
