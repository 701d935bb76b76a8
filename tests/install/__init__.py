"""tasks_app in projects that are not ours."""
