"""The page to try it, and what it asks: documents as they are read, page by page."""
