"""What measurements, stress and tests share: servers on free ports, tensors, drawn documents, loops of requests."""
