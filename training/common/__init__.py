"""What the trainers of embedded checkpoints share: the batched model, its steps, and the workers that draw."""
