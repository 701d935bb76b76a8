"""Reads members of RQ's registries, which may be foreign."""

from __future__ import annotations

import uuid
from collections.abc import Iterable


def decode_member(member: bytes) -> str:
    """Return a member of a registry as text. A foreign one may not be UTF-8."""
    return member.decode(errors="backslashreplace")


def parse_id(text: str) -> uuid.UUID | None:
    """Return a task's id, or None for a foreign job."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def parse_ids(texts: Iterable[str]) -> list[uuid.UUID]:
    """Return the ids of tasks among the members; foreign jobs are left out."""
    return [found for text in texts if (found := parse_id(text)) is not None]
