"""PaddleOCR's service, `/layout-parsing` and `/restructure-pages`, with its requests and responses."""
