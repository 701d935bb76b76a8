"""The session store: the database holds only the digest of a session's key, so a copy of the table logs nobody in.

Owns the content of the column session_key; the rest is Django's own store. A plain digest is enough, because the key is
random and has more than 160 bits.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

from tasks_app.database.django_internals import forget_session_key

DIGEST_BYTES: Final = 20  # the column holds 40 characters


class SessionStore(db.SessionStore):
    """Django's session store; the browser's cookie holds the key, the table its digest."""

    def load(self) -> dict[str, Any]:
        row = self.model.objects.filter(session_key=digest_of(self.session_key), expire_date__gt=timezone.now()).first()
        if row is None:
            forget_session_key(self)
            return {}
        return self.decode(row.session_data)

    def exists(self, session_key: str | None) -> bool:
        return super().exists(digest_of(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = digest_of(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(digest_of(key))

    # Django's asynchronous methods do not call the synchronous ones.
    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    async def aexists(self, session_key: str | None) -> bool:
        return await sync_to_async(self.exists)(session_key)

    async def acreate_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        return await sync_to_async(self.create_model_instance)(data)

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)


def digest_of(session_key: str | None) -> str:
    """Return the digest of a session's key, as the table holds it."""
    return hashlib.blake2b((session_key or "").encode(), digest_size=DIGEST_BYTES).hexdigest()
