"""`manage.py write_sql`: rewrites catalog/sql/init.sql and test_context.sql after a new migration."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from catalog.sql_scripts import UnsuitableServer, make_scripts

DIRECTORY: Final = Path(__file__).resolve().parents[2] / "sql"


class Command(BaseCommand):
    help = (
        "Write init.sql (the tables of all migrations) and test_context.sql (the rows of load_test_context), for setting "
        "up a database by hand. DATABASE_URL names a MariaDB, which is not changed; `make sql` starts one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--directory", type=Path, default=DIRECTORY, help="where to write them (default: catalog/sql)"
        )

    def handle(self, *args: Any, directory: Path, **options: Any) -> None:
        try:
            scripts = make_scripts(connection)
            directory.mkdir(parents=True, exist_ok=True)
            for name, text in scripts.items():
                (directory / name).write_text(text, encoding="utf-8")
                self.stdout.write(f"Wrote {directory / name}.")
        except UnsuitableServer as error:
            raise CommandError(str(error), returncode=2) from None
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be written: {error.strerror}.") from None
