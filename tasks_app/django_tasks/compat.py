"""Django's task framework, wherever it is installed: `django.tasks` since Django 6.0, before that the package django-tasks.

Owns the differences between the two. The rest of this package imports the framework from here only. Importing this module
without either raises ImproperlyConfigured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import django
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import task, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
    from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued, task_finished, task_started
    from django.utils.json import normalize_json

    APP = ""  # the framework is a part of Django
else:
    try:
        from django_tasks import task, task_backends
    except ImportError as error:
        raise ImproperlyConfigured(
            f"Django {django.get_version()} has no django.tasks. Install the package django-tasks (pip install "
            "'longtasks[django-tasks]'), and add 'django_tasks' to INSTALLED_APPS; or use Django 6."
        ) from error
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
    from django_tasks.exceptions import InvalidTaskError as InvalidTask
    from django_tasks.exceptions import TaskResultDoesNotExist
    from django_tasks.signals import task_enqueued, task_finished, task_started
    from django_tasks.utils import normalize_json

    APP = "django_tasks"  # must be in INSTALLED_APPS: it has the system checks and the log of the signals

__all__ = [
    "APP",
    "BaseTaskBackend",
    "InvalidTask",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "normalize_json",
    "task",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]
