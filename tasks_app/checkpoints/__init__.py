"""Checkpoints: the durable truth of each task, and every write of them. Must not know Redis."""
