"""`manage.py up`: runs the stack until Ctrl-C.

Owns the command's output and exit codes. Must not start a process: the supervisor does that.
"""

import os
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from longtasks.local_stack.banner import format_banner, list_pages
from longtasks.local_stack.supervisor import Stack, StackError
from tasks_app.conf.service_url import parse_url


class Command(BaseCommand):
    help = "Run all processes of the Procfile until Ctrl-C; without REDIS_URL also an embedded Valkey."
    requires_system_checks = ()  # each started process runs its own checks

    def handle(self, *args: Any, **options: Any) -> None:
        # SIGTERM (a service manager) and SIGHUP (a closed terminal) stop the stack as Ctrl-C does.
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
            **list_pages(stack.address, prefix=settings.URL_PREFIX),
            "stream": f"{stack.address}{settings.URL_PREFIX}/stream",
            "database": _describe_database(),
            "redis": _describe_redis(stack),
            "workers": str(settings.WORKERS),
            "stop": "Ctrl-C",
        }
        return format_banner("longtasks is up", rows)


def _describe_redis(stack: Stack) -> str:
    if not stack.redis_url or settings.LONGTASKS.redis_sentinels:
        return f"the primary that the Sentinels name for {settings.LONGTASKS.redis_master_name}"
    embedded = "" if settings.LONGTASKS.redis_url else " (embedded Valkey)"
    return parse_url(stack.redis_url).shown + embedded


def _describe_database() -> str:
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        return f"SQLite, {database['NAME']}"
    place = database.get("OPTIONS", {}).get("unix_socket") or f"{database['HOST']}:{database['PORT'] or 3306}"
    return f"MySQL/MariaDB, {database['NAME']} at {place}"
