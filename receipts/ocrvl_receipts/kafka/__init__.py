"""Kafka's client, for asyncio: what is produced, what is consumed, the topics."""
