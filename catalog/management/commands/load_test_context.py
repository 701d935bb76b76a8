"""`manage.py load_test_context`: inserts a small, fixed set of rows into the database. Idempotent."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from catalog.sample_rows import CONTEXT_ID, load_test_context


class Command(BaseCommand):
    help = "Load a small, fixed set of users, products and order items; existing rows stay unchanged."

    def handle(self, *args: Any, **options: Any) -> None:
        missing = load_test_context()
        rows = ", ".join(f"{count} {table}" for table, count in missing.items())
        self.stdout.write(f"Inserted {rows} (task {CONTEXT_ID}).")
