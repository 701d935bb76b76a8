"""Gates in migrations: StartTask, RequireTask, and `manage.py task wait`."""
