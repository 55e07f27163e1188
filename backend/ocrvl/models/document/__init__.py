"""Whole files: pages, their blocks, the blocks' texts, and Markdown and JSON of them.

In the order in which a file passes: what is asked for (`options`), its pages as images (`pages`; those of PDFs by
`drawing` and `pdfium`, with `units` and `glyphs`), what is printed where no blocks are found (`ink`), PaddleOCR's rules
for a page (`paddle`, with `tables` and `markdown`), what is sent (`results`).
"""
