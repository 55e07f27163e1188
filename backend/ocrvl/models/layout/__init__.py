"""Where the blocks of a page are, and in which order they are read.

The detectors (`detectors`, `paddle`), the
order where a detector gives none (`order`).
"""
