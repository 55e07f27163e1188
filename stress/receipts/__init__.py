"""The pipeline of receipts under faults: `python -m stress receipts`."""
