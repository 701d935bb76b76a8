"""The outbox: a task that a transaction starts commits with it, and is enqueued exactly once."""
