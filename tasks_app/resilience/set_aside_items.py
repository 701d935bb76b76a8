"""The set-aside items: what shared loops could not process, each with its bytes and the reason.

Owns SetAsideItem. Recording one is part of the caller's transaction, so that it commits together with the cursor that
passes the item. Must not decide what is set aside (batch_isolation does), nor apply anything again (recovery does).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from django.db import connection, transaction
from django.db.models import Count, F

from tasks_app.models import SetAsideItem
from tasks_app.observability.redaction import hide_secrets

logger = logging.getLogger(__name__)

SNAPSHOT: Final = SetAsideItem.Kind.SNAPSHOT.value
TASK: Final = SetAsideItem.Kind.TASK.value
WEBHOOK: Final = SetAsideItem.Kind.WEBHOOK.value
TOTAL: Final = SetAsideItem.Kind.TOTAL.value
OUTBOX: Final = SetAsideItem.Kind.OUTBOX.value
KINDS: Final = tuple(SetAsideItem.Kind.values)

PAYLOAD_BYTES: Final = 1 << 20
REASON_CHARACTERS: Final = 500
KEY_CHARACTERS: Final = 200


def note(*, kind: str, key: str, payload: bytes, error: BaseException | str) -> None:
    """Record an item, or a further refusal of it. Logs one warning, when the transaction has committed."""
    now = datetime.now(UTC)
    key = to_ascii(key, KEY_CHARACTERS)
    reason = describe(error)
    with transaction.atomic():
        known = SetAsideItem.objects.filter(kind=kind, key=key)
        if known.update(tries=F("tries") + 1, last_at=now, reason=reason):
            return
        # In MySQL a statement must not be longer than a packet, and escaping at worst doubles its bytes.
        kept = payload[: min(PAYLOAD_BYTES, get_packet_bytes() // 4)]
        _, is_new = SetAsideItem.objects.get_or_create(
            kind=kind,
            key=key,
            defaults={"payload": kept, "size": len(payload), "reason": reason, "first_at": now, "last_at": now},
        )
    if is_new:
        transaction.on_commit(lambda: logger.warning("%s %s is set aside: %s", kind, key, reason))


def forget(*, kind: str, key: str) -> None:
    """Delete the record of an item that was processed after all."""
    SetAsideItem.objects.filter(kind=kind, key=to_ascii(key, KEY_CHARACTERS)).delete()


def count_by_kind() -> dict[str, int]:
    """Return how many items of each kind are set aside, including the kinds without any."""
    counted = dict(SetAsideItem.objects.values_list("kind").annotate(Count("pk")).order_by())
    return {kind: counted.get(kind, 0) for kind in KINDS}


def describe(error: BaseException | str) -> str:
    """Return the reason in one bounded line of ASCII, without secrets."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {str(error)[:2000]}"
    return to_ascii(hide_secrets(" ".join(text[:2000].split())), REASON_CHARACTERS)


def to_ascii(text: str, most: int) -> str:
    """Escape characters that are not printable ASCII, and cut the text to `most` characters."""
    escaped = text[:most].encode("ascii", "backslashreplace").decode().replace("\0", "\\x00")
    return escaped if len(escaped) <= most else escaped[: most - 3] + "..."


def get_packet_bytes() -> int:
    """Return the maximum length of a statement on this connection, in bytes."""
    if connection.vendor != "mysql":
        return 1 << 26
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        return int(cursor.fetchone()[0])


def show_payload(item: SetAsideItem, most: int) -> str:
    """Return the beginning of the refused bytes as text, with invalid UTF-8 escaped."""
    text = bytes(item.payload[: 4 * most]).decode("utf-8", "backslashreplace")
    return text if len(text) <= most else f"{text[:most]}..."
