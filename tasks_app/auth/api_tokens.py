"""The API's tokens: creates and revokes them.

Owns ApiToken. Each process caches all valid digests (token_cache) and reads them again at least every 30 s, so a
revocation takes effect everywhere within a minute. An unknown token triggers a read at once, but at most one a second
for all processes of a machine. A process that finds new tokens publishes that to the others, which then read too.
"""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction

from tasks_app.auth import audit_log
from tasks_app.auth.owner_names import check_owner_name
from tasks_app.auth.token_cache import PREFIX, digest_of
from tasks_app.models import ApiToken, AuditEntry, column_limits

logger = logging.getLogger(__name__)

SHOWN_CHARACTERS: Final = 10
READ: Final = ApiToken.Scope.READ.value
WRITE: Final = ApiToken.Scope.WRITE.value
ADMIN: Final = ApiToken.Scope.ADMIN.value
SCOPES: Final = (READ, WRITE, ADMIN)  # each scope includes the ones before it


def create_token(
    *,
    owner: str,
    scope: str,
    created_by: str = "",
    note: str = "",
    lifetime: timedelta | None = None,
    source: str = audit_log.CLI,
) -> tuple[ApiToken, str]:
    """Create a token and its audit entry in one transaction; return the row and the secret, which is not stored.

    Raises ValueError if the owner's name is too long or could be mistaken for another.
    """
    check_owner_name(owner, most=column_limits.OWNER)
    secret = PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    with transaction.atomic():
        token = ApiToken.objects.create(
            owner=owner,
            scope=ApiToken.Scope(scope),
            note=note[: column_limits.length_of((ApiToken, "note"))],
            digest=digest_of(secret),
            prefix=secret[:SHOWN_CHARACTERS],
            created_at=now,
            created_by=column_limits.cut_actor(created_by),
            expires_at=now + lifetime if lifetime is not None else None,
        )
        audit_log.record(
            action=AuditEntry.Action.CREATE_TOKEN, source=source, actor=created_by, detail=_describe(token)
        )
    logger.info("token %s… of %s created, scope %s", token.prefix, owner, scope, extra={"actor": created_by})
    return token, secret


def revoke_token(*, token_id: int, actor: str = "", source: str = audit_log.CLI) -> ApiToken:
    """Revoke a token and write an audit entry in one transaction; every process refuses the token within a minute.

    Revoking twice is idempotent. Raises ApiToken.DoesNotExist.
    """
    with transaction.atomic():
        token = ApiToken.objects.select_for_update().get(pk=token_id)
        if token.revoked_at is None:
            token.revoked_at = datetime.now(UTC)
            token.save(update_fields=["revoked_at"])
            audit_log.record(action=AuditEntry.Action.REVOKE_TOKEN, source=source, actor=actor, detail=_describe(token))
            logger.info("token %s… of %s revoked", token.prefix, token.owner, extra={"actor": actor})
    return token


def _describe(token: ApiToken) -> str:
    """Return a description of the token for the audit, without its secret."""
    until = f", until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at is not None else ""
    return f"token {token.pk} {token.prefix}… of {token.owner}, scope {token.scope}{until}"


def get_state(token: ApiToken) -> str:
    """Return valid, expired or revoked."""
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and token.expires_at <= datetime.now(UTC) else "valid"
