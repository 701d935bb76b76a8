"""Helpers of several test packages: task types, engine steps, refused items, outages."""
