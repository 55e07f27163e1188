"""What measurements, stress and tests share: servers on free ports, input tensors, and loops that send requests."""
