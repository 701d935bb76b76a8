"""The Django application of tasks. It imports the task types of all installed apps when Django starts."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import pre_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

from tasks_app.observability.prometheus_client_internals import use_allocated_files


class TasksAppConfig(AppConfig):
    name = "tasks_app"
    verbose_name = _("Tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        # Before any application is ready: django-rq then creates a metric, whose file would be sparse.
        use_allocated_files()

    def ready(self) -> None:
        from tasks_app.database import charsets
        from tasks_app.django_tasks.activation import register_function_types
        from tasks_app.operations.project_checks import check_project
        from tasks_app.task_types.collections.system_checks import check_collections

        checks.register(check_collections)
        checks.register(check_project)
        pre_migrate.connect(charsets.widen_default, sender=self)
        autodiscover_modules("task_types")
        register_function_types()
