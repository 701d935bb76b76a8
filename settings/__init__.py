"""Django settings: base, development, production, test. Every environment variable is read in env.py."""
