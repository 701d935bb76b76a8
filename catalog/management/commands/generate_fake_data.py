"""`manage.py generate_fake_data --records N`: writes fake records directly into the tables, without a task."""

from __future__ import annotations

import time
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand
from django.db import transaction

from catalog.id_blocks import reserve_ids
from catalog.models import MODELS
from catalog.row_writer import Slice, write_records

TRANSACTION_RECORDS = 5000


def _record_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000_000:
        raise ArgumentTypeError(f"{text!r} is not a valid number of records: give one from 1 to 100000000")
    return int(text)


class Command(BaseCommand):
    help = "Insert fake users, products and order items, N of each."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--records", type=_record_count, default=100, help="rows of each table (default: 100)")

    def handle(self, *args: Any, records: int, **options: Any) -> None:
        run_id = uuid.uuid4()
        first_id = reserve_ids(count=records)
        began = time.monotonic()
        with self._progress(total=records) as show:
            for start in range(0, records, TRANSACTION_RECORDS):
                stop = min(start + TRANSACTION_RECORDS, records)
                with transaction.atomic():
                    write_records(slices=[Slice(run_id, first_id, start, stop)])
                show(stop)
        seconds = time.monotonic() - began
        rows = ", ".join(f"{records} {model._meta.db_table}" for model in MODELS)
        rate = len(MODELS) * records / seconds
        self.stdout.write(f"Inserted {rows} in {seconds:.1f} s, {rate:,.0f} rows/s (task {run_id}).")

    @contextmanager
    def _progress(self, *, total: int) -> Generator[Callable[[int], None], None, None]:
        """Show a progress bar if the output is a terminal."""
        if not self.stdout.isatty():
            yield lambda done: None
            return
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress

        columns = (*Progress.get_default_columns(), MofNCompleteColumn())
        with Progress(*columns, console=Console(file=cast("TextIO", self.stdout))) as progress:
            bar = progress.add_task("records", total=total)
            yield lambda done: progress.update(bar, completed=done)
