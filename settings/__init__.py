"""The Django settings: base, development, production, test. Only env.py reads environment variables."""
