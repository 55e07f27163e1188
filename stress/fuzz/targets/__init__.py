"""One module a parser, each with a `TARGET`."""
