"""Decodes members of RQ's registries, which other programs may have written.

Must not fail on any of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable


def decode_member(member: bytes) -> str:
    """Return a member of a registry as text. Another program's may not be UTF-8."""
    return member.decode(errors="backslashreplace")


def parse_id(text: str) -> uuid.UUID | None:
    """Return a task's id, or None for the job of another function."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def parse_ids(texts: Iterable[str]) -> list[uuid.UUID]:
    """Return the ids of the tasks among the members. Jobs of other functions are skipped."""
    return [found for text in texts if (found := parse_id(text)) is not None]
