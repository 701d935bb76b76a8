"""How a process goes on when something fails: transient errors, rate limits, items set aside, failpoints."""
