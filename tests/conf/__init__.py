"""tasks_app.conf: the settings of any project."""
