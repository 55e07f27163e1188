"""The nano checkpoint: the world of drawn text it reads, its training, and its score."""
