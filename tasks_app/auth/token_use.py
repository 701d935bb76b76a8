"""Writes when a token was last used, at most once a minute and in a separate thread.

Owns ApiToken.last_used_at. Must not delay a request.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q

from tasks_app.models import ApiToken

logger = logging.getLogger(__name__)
USED_SECONDS: Final = 60.0  # resolution of last_used_at
NOTING_THREAD: Final = "note-used-tokens"


def note_used(token_ids: set[int]) -> None:
    """Set last_used_at of these tokens, to the minute. One UPDATE."""
    now = datetime.now(UTC)
    before = now - timedelta(seconds=USED_SECONDS)
    ApiToken.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=before), pk__in=token_ids).update(
        last_used_at=now
    )


def write_used(token_ids: set[int]) -> None:
    """Call `note_used` on a connection that is closed afterwards; log a database error instead of raising it."""
    try:
        note_used(token_ids)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("last_used_at of the tokens could not be written: %s", type(error).__name__)
    finally:
        connection.close()
