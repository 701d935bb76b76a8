"""`manage.py up`: keeps the stack serving until Ctrl-C. Only words and exit codes; longtasks.stack does the work."""

import os
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from longtasks.stack import Stack, StackError, without_password


class Command(BaseCommand):
    help = "Runs web, workers and mirror (and the embedded Valkey without REDIS_URL) until Ctrl-C."
    requires_system_checks = ()  # each process that it starts checks itself

    def handle(self, *args: Any, **options: Any) -> None:
        # A closed terminal and a service manager mean the same as Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.default_int_handler)
        try:
            with Stack(
                environment=os.environ,
                port=settings.PORT,
                workers=settings.WORKERS,
                data_dir=settings.DATA_DIR,
                redis_url=settings.LONGTASKS.redis_url,
                output=sys.stdout,
            ) as stack:
                self.stdout.write(self._describe(stack))
                self.stdout.flush()
                stack.run()
        except StackError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("longtasks has stopped.")

    def _describe(self, stack: Stack) -> str:
        embedded = "" if settings.LONGTASKS.redis_url else " (embedded Valkey)"
        rows = {
            "address": f"{stack.address}   (docs at /docs, health at /health/ready)",
            "stream": f"http://{stack.host}:{settings.STREAM_PORT}/stream",
            "database": _describe_database(),
            "redis": without_password(stack.redis_url) + embedded,
            "workers": str(settings.WORKERS),
            "stop": "Ctrl-C",
        }
        return "\n".join(["", "  longtasks is up", *(f"  {name:<9} {value}" for name, value in rows.items()), ""])


def _describe_database() -> str:
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        return f"SQLite, {database['NAME']}"
    place = database.get("OPTIONS", {}).get("unix_socket") or f"{database['HOST']}:{database['PORT'] or 3306}"
    return f"MySQL/MariaDB, {database['NAME']} at {place}"
