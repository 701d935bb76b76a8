"""The commands that run the whole stack."""
