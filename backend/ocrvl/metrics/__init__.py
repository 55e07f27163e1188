"""What the models count and measure: defined as `definitions`, chosen by `allow`, carried to Triton by `mirror`.

A model counts in its own process, without waiting. A thread (`publisher`) carries what has changed over to Triton,
whose `/metrics` shows it beside Triton's own series (docs/metrics.md).
"""
