"""Private servers and a Procfile stack that load tests and tests start, use and remove."""
