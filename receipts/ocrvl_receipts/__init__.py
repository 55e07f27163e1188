"""The pipeline: receipts in object storage, Kafka between, fields as JSON beside them. Over the SDK alone."""
