"""What lets a process continue when something fails: transient errors, rate limits, items set aside, failpoints."""
