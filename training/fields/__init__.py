"""The embedded checkpoint of the model `fields`: `python -m training fields --help`."""
