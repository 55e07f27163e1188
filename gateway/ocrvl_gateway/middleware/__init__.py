"""Middleware: what a request passes before it is parsed."""
