"""`ocr_stream`: the text of a request while it is generated."""
