"""The pages of API tokens: create, list and revoke; the secret is shown once, after creation.

Owns their form and permissions. Must not create or revoke a token itself (auth/api_tokens).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks_app.admin.permissions import get_actor
from tasks_app.admin.theme import ModelAdmin, display
from tasks_app.auth import api_tokens, audit_log
from tasks_app.auth.owner_names import check_owner_name
from tasks_app.models import ApiToken, column_limits


class TokenForm(ModelForm):  # type: ignore[type-arg]  # Django gives it no [] at runtime
    """The form of a new token. The owner's name is used exactly as typed, or refused."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "owner" in self.fields:
            self.fields["owner"].strip = False  # type: ignore[attr-defined]

    def clean_owner(self) -> str:
        """Return the owner's name. Raises ValidationError."""
        owner: str = self.cleaned_data["owner"]
        try:
            check_owner_name(owner, most=column_limits.OWNER)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        return owner


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    """Requires Django's own permissions for tokens, because a token of scope admin can change every task."""

    list_display = (
        "prefix",
        "owner",
        "scope",
        "state",
        "note",
        "created_at",
        "created_by",
        "expires_at",
        "last_used_at",
    )
    list_filter = ("scope",)
    search_fields = ("owner", "prefix", "note")
    ordering = ("-pk",)
    form = TokenForm
    fields = ("owner", "scope", "note", "expires_at")
    actions = ("revoke",)
    show_full_result_count = False

    @display(description=gettext_lazy("state"))
    def state(self, token: ApiToken) -> str:
        return {"valid": _("valid"), "expired": _("expired"), "revoked": _("revoked")}[api_tokens.get_state(token)]

    def save_model(self, request: HttpRequest, obj: ApiToken, form: ModelForm[ApiToken], change: bool) -> None:
        expires_at: datetime | None = form.cleaned_data["expires_at"]
        made, secret = api_tokens.create_token(
            owner=obj.owner,
            scope=obj.scope,
            note=obj.note,
            lifetime=expires_at - datetime.now(UTC) if expires_at else None,
            created_by=get_actor(request),
            source=audit_log.ADMIN,
        )
        obj.pk = made.pk
        obj.prefix = made.prefix
        text = _("Copy the token now, it is not shown again: {token}").format(token=secret)
        messages.warning(request, text)

    @admin.action(description=gettext_lazy("Revoke the selected tokens"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        token_ids = list(queryset.values_list("pk", flat=True))
        for token_id in token_ids:
            api_tokens.revoke_token(token_id=token_id, actor=get_actor(request), source=audit_log.ADMIN)
        text = ngettext(
            "%(count)d token was revoked. It stops working everywhere within a minute.",
            "%(count)d tokens were revoked. They stop working everywhere within a minute.",
            len(token_ids),
        )
        messages.success(request, text % {"count": len(token_ids)})

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tasks_app.change_apitoken")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: a token is created and revoked, never changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: a revoked token remains as a record of its owner."""
        return False
