"""The front end: where receipts are uploaded to, and which of them are to be read."""
