"""What happens to a request before it is read: who sends it, how often, how much."""
