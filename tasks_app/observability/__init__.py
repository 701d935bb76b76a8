"""Logs and traces: their context, the redaction of secrets, and limits on repeated lines."""
