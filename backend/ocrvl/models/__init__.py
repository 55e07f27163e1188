"""A package for each Triton model, whose `model` is what `model_repository/<model>/1/model.py` calls.

What they share stands here: `dispatcher` takes every `request` through its life. They do not import each other.
"""
