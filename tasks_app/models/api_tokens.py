"""The API tokens: owner, scope and expiry. The table holds only a digest of the secret."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.domain import callers
from tasks_app.models.text_fields import FreeTextField, IdentityField


class ApiToken(models.Model):
    """An API token. Created and revoked by `manage.py token` and the admin, through tasks_app.auth.api_tokens."""

    class Scope(models.TextChoices):
        # Each scope includes the previous ones.
        READ = callers.READ, _("read")
        WRITE = callers.WRITE, _("read and write")
        ADMIN = callers.ADMIN, _("everything, of all owners")

    # Owner of the tasks that the token starts and may read. Several tokens of one owner give access to the same tasks.
    owner = IdentityField(_("owner"), max_length=64)
    scope = IdentityField(_("scope"), max_length=8, choices=Scope.choices)
    note = FreeTextField(_("note"), max_length=255, default="", blank=True)
    # SHA-256 of the whole token: 256 random bits need no slower hash.
    digest = IdentityField(max_length=64, unique=True)
    # The first characters of the token, by which people recognize it.
    prefix = IdentityField(_("begins with"), max_length=12)
    created_at = models.DateTimeField(_("created at"))
    created_by = IdentityField(_("created by"), max_length=64, default="", blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True)
    # Accurate to about a minute: written in the background, not by each request.
    last_used_at = models.DateTimeField(_("last used at"), null=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.owner}, {self.scope})"
