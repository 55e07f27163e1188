"""What Triton does not carry between models: text as it is generated, cancels, and whether engines can take more.

Each engine listens on a Unix socket (`server`); the other models connect to all of them (`client`). Requests
themselves travel through Triton, so its queues, limits and priorities hold for every caller; only these `messages` pass
beside it.
"""
