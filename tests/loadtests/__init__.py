"""The load tests' own tests: k6 against a stub of the task API, a few requests each."""
