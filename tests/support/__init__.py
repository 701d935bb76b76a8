"""What several test packages share: started servers and stacks, task types for tests, helpers of the engine."""
