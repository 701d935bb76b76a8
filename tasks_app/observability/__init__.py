"""Logs and traces: their context, what is left out of them, and how many there may be."""
