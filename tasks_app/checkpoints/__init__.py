"""Checkpoints: the durable state of each task, and all writes of it. Must not know Redis."""
