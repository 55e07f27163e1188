"""What carries requests: gRPC and HTTP, each for threads and for asyncio, and what may stand in front of them."""
