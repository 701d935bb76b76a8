"""The pages of set-aside items: list, show, retry and drop.

Owns the pages. Must not apply an item itself: retry_set_aside does.
"""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks_app.admin.permissions import can_administer, get_actor
from tasks_app.admin.read_only_admin import ReadOnlyAdmin
from tasks_app.admin.theme import display
from tasks_app.auth import audit_log
from tasks_app.errors import LongtasksError
from tasks_app.models import SetAsideItem
from tasks_app.recovery import retry_set_aside
from tasks_app.resilience import set_aside_items

SHOWN_CHARACTERS = 100_000


@admin.register(SetAsideItem)
class SetAsideItemAdmin(ReadOnlyAdmin):
    """Requires the permission to administer, because a payload may contain parameters of any owner.

    Django's deletion is refused, since it writes no audit entry; the action `drop` does.
    """

    list_display = ("key", "kind", "reason", "tries", "first_at", "last_at", "size")
    list_filter = ("kind",)
    search_fields = ("key", "reason")
    ordering = ("-pk",)
    fields = ("kind", "key", "reason", "tries", "first_at", "last_at", "size", "content")
    readonly_fields = fields
    actions = ("try_again", "drop")
    show_full_result_count = False

    @display(description=gettext_lazy("payload"))
    def content(self, item: SetAsideItem) -> str:
        return set_aside_items.show_payload(item, SHOWN_CHARACTERS)

    @admin.action(description=gettext_lazy("Retry the selected items"), permissions=["administer"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[SetAsideItem]) -> None:
        applied = 0
        for item_id, key in list(queryset.order_by("pk").values_list("pk", "key")):
            try:
                tried = retry_set_aside.try_again(item_id=item_id, actor=get_actor(request), source=audit_log.ADMIN)
            except LongtasksError as error:
                messages.error(request, str(error))
                continue
            if tried.outcome == retry_set_aside.REFUSED:
                text = _("%(key)s was refused again: %(reason)s")
                messages.error(request, text % {"key": key, "reason": tried.reason})
            elif tried.outcome == retry_set_aside.OUTDATED:
                messages.info(request, _("%(key)s was not applied: its task has newer changes.") % {"key": key})
            else:
                applied += 1
        if applied:
            text = ngettext("%(count)d item was applied.", "%(count)d items were applied.", applied)
            messages.success(request, text % {"count": applied})

    @admin.action(description=gettext_lazy("Drop the selected items"), permissions=["administer"])
    def drop(self, request: HttpRequest, queryset: QuerySet[SetAsideItem]) -> None:
        dropped = 0
        for item_id in list(queryset.order_by("pk").values_list("pk", flat=True)):
            try:
                retry_set_aside.drop(item_id=item_id, actor=get_actor(request), source=audit_log.ADMIN)
            except LongtasksError as error:
                messages.error(request, str(error))
                continue
            dropped += 1
        if dropped:
            text = ngettext("%(count)d item was dropped.", "%(count)d items were dropped.", dropped)
            messages.success(request, text % {"count": dropped})

    def can_see(self, request: HttpRequest) -> bool:
        return can_administer(request)

    def has_administer_permission(self, request: HttpRequest) -> bool:
        return can_administer(request)
