"""`manage.py set_aside list|retry|drop`: the items that shared loops could not process.

Owns arguments, output and exit codes. Must not apply an item itself: retry_set_aside does.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.api.json_rendering import to_json
from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.management.actor import find_actor
from tasks_app.models import SetAsideItem
from tasks_app.recovery import retry_set_aside
from tasks_app.resilience import set_aside_items

REFUSED, UNKNOWN, UNAVAILABLE = 3, 4, 6
PAYLOAD_CHARACTERS: Final = 200
EXIT_CODES: Final = (
    "exit codes: 0 done, 2 wrong arguments, 3 an item was refused again, 4 no such item, "
    "6 Redis or the database does not answer"
)


class Command(BaseCommand):
    help = f"List, retry or drop the items that mirror, rescue and webhooks could not process. {EXIT_CODES}."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="list|retry|drop")
        listing = actions.add_parser("list", help="list the items, newest last", epilog=EXIT_CODES)
        listing.add_argument("--kind", choices=set_aside_items.KINDS)
        listing.add_argument("--limit", type=int, default=100, help="number of items, at most (100)")
        listing.add_argument("--json", action="store_true", help="print JSON, with the whole payload")
        for action, text in (("retry", "apply items again"), ("drop", "delete items permanently")):
            each = actions.add_parser(action, help=text, epilog=EXIT_CODES)
            each.add_argument("ids", nargs="+", type=int, metavar="ID")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"do_{action}")(options)
        except retry_set_aside.UnknownItem as error:
            raise CommandError(str(error), returncode=UNKNOWN) from error
        except LongtasksError as error:
            raise CommandError(str(error), returncode=UNAVAILABLE) from error

    def do_list(self, options: dict[str, Any]) -> None:
        items = SetAsideItem.objects.order_by("pk")
        if options["kind"]:
            items = items.filter(kind=options["kind"])
        rows = list(items[: max(1, options["limit"])])
        if options["json"]:
            self.stdout.write(to_json({"items": [_data(item) for item in rows]}).decode())
            return
        for item in rows:
            self.stdout.write(f"{item.pk} {item.kind} {item.key}: {item.reason}")
            times = f"{item.first_at:%Y-%m-%d %H:%M:%S} UTC, last {item.last_at:%Y-%m-%d %H:%M:%S} UTC"
            self.stdout.write(f"  refused {item.tries} times, first {times}; {item.size} bytes")
            if item.payload:
                self.stdout.write(f"  {set_aside_items.show_payload(item, PAYLOAD_CHARACTERS)}")
        if not rows:
            self.stdout.write("Nothing is set aside.")

    def do_retry(self, options: dict[str, Any]) -> None:
        was_refused = False
        for item_id in options["ids"]:
            tried = retry_set_aside.try_again(item_id=item_id, actor=find_actor(), source=audit_log.CLI)
            was_refused |= tried.outcome == retry_set_aside.REFUSED
            words = {
                retry_set_aside.APPLIED: "applied",
                retry_set_aside.OUTDATED: "not applied: a newer state of the task is stored",
                retry_set_aside.REFUSED: f"refused again: {tried.reason}",
            }
            self.stdout.write(f"{item_id} {words[tried.outcome]}")
        if was_refused:
            sys.exit(REFUSED)

    def do_drop(self, options: dict[str, Any]) -> None:
        for item_id in options["ids"]:
            retry_set_aside.drop(item_id=item_id, actor=find_actor(), source=audit_log.CLI)
            self.stdout.write(f"{item_id} dropped")


def _data(item: SetAsideItem) -> dict[str, Any]:
    return {
        "id": item.pk,
        "kind": item.kind,
        "key": item.key,
        "reason": item.reason,
        "tries": item.tries,
        "firstAt": item.first_at,
        "lastAt": item.last_at,
        "bytes": item.size,
        "payload": set_aside_items.show_payload(item, item.size or 1),
    }
