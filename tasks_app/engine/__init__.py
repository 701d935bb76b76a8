"""A worker process: dequeues tasks and runs them chunk by chunk, each chunk in one transaction with its checkpoint."""
