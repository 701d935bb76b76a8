"""`manage.py changepassword`: Django's command, which also writes an audit entry."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import changepassword

from tasks_app.management.actor import find_actor
from tasks_app.services.staff_audit import recorded_saves


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        with recorded_saves(change="given another password", actor=find_actor()):
            return super().handle(*args, **options)
