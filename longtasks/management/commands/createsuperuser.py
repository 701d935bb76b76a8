"""`manage.py createsuperuser`: Django's command, which also writes an audit entry."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from tasks_app.management.actor import find_actor
from tasks_app.services.staff_audit import recorded_saves


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with recorded_saves(change="added", actor=find_actor()):
            super().handle(*args, **options)
