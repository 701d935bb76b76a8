"""The error that stops the bench."""


class BenchError(Exception):
    """A measurement cannot be made, or its result is wrong; the message says why and what to do."""
