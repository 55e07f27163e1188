"""Receipts: an image in, its fields out.

In the order in which a receipt passes: what is asked for (`options`, `request`), where its lines are (`looking`,
`detector`, `lines`), what is written in them and what that means (`bls`: the server's other models), what is answered
(`results`).
"""
