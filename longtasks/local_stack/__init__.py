"""The whole stack on one machine: `manage.py up`, `demo` and `reload`."""
