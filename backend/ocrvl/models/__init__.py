"""What one instance of each Triton model is made of: here the parts are put together, and `model.py` only calls."""
