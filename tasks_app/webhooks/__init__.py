"""Webhooks: the deliveries of a task's end, and where they may go."""
