"""settings.test with the backend for django.tasks, for the processes of a stack."""

import django

from settings.test import *  # noqa: F403
from settings.test import INSTALLED_APPS

_FRAMEWORK = [] if django.VERSION >= (6, 0) else ["django_tasks"]
INSTALLED_APPS = [*INSTALLED_APPS, *_FRAMEWORK]
BACKEND = "tasks_app.django_tasks.LongtasksBackend"
TASKS = {
    "default": {"BACKEND": BACKEND, "QUEUES": []},
    "patient": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"attempts": 3}},
    "mail": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"transaction": False, "attempts": 2}},
    "quick": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"timeout": 0.3}},
}
