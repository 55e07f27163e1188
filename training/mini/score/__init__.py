"""How well a checkpoint reads what mini is for: drawn blocks of every task, and manuals with a text layer."""
