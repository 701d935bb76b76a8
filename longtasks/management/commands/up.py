"""`manage.py up`: keeps the stack serving until Ctrl-C. Only words and exit codes; the supervisor does the work."""

import os
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from longtasks.local_stack.supervisor import Stack, StackError
from settings.service_url import parse_url


class Command(BaseCommand):
    help = "Runs web, workers and mirror (and the embedded Valkey without REDIS_URL) until Ctrl-C."
    requires_system_checks = ()  # each process that it starts checks itself

    def handle(self, *args: Any, **options: Any) -> None:
        # A closed terminal and a service manager mean the same as Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.default_int_handler)
        try:
            with Stack(
                environment=os.environ
                | {"BIND": settings.BIND, "REDIS_SENTINELS": ",".join(settings.LONGTASKS.redis_sentinels)},
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
        rows = {
            "address": f"{stack.address}   (docs at /docs, health at /health/ready)",
            "stream": f"http://{stack.host}:{settings.STREAM_PORT}/stream",
            "database": _describe_database(),
            "redis": _describe_redis(stack),
            "workers": str(settings.WORKERS),
            "stop": "Ctrl-C",
        }
        return "\n".join(["", "  longtasks is up", *(f"  {name:<9} {value}" for name, value in rows.items()), ""])


def _describe_redis(stack: Stack) -> str:
    if not stack.redis_url or settings.LONGTASKS.redis_sentinels:
        return f"whichever Sentinels call {settings.LONGTASKS.redis_master_name}"
    embedded = "" if settings.LONGTASKS.redis_url else " (embedded Valkey)"
    return parse_url(stack.redis_url).shown + embedded


def _describe_database() -> str:
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        return f"SQLite, {database['NAME']}"
    place = database.get("OPTIONS", {}).get("unix_socket") or f"{database['HOST']}:{database['PORT'] or 3306}"
    return f"MySQL/MariaDB, {database['NAME']} at {place}"
