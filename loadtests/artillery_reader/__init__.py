"""Reads Artillery's files, because k6 reads no YAML, and checks them before the first request."""
