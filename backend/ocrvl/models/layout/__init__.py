"""Where the blocks of a page are, and in which order they are read.

What a block is (`regions`), what may be asked of a detector (`options`), the detectors (`detectors`, `paddle`), the
order where a detector gives none (`order`).
"""
