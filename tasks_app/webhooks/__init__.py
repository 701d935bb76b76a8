"""Webhooks: the deliveries of a task's end, and the addresses that they may go to."""
