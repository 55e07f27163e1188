"""What Triton does not carry between models: text as it is generated, cancels, and whether engines can take more.

Each engine listens on a Unix socket (`engine_side`); the other models connect to all of them (`face_side`). Requests
themselves travel through Triton, so its queues, limits and priorities hold for every door; only these `messages` pass
beside it.
"""
