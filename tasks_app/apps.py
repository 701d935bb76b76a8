"""The Django application of tasks: finds the task types of the installed apps when Django starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import pre_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class TasksAppConfig(AppConfig):
    name = "tasks_app"
    verbose_name = _("Tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tasks_app import charsets

        pre_migrate.connect(charsets.widen_default, sender=self)
        autodiscover_modules("task_types")
