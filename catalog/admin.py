"""The admin's read-only lists of the rows that tasks wrote, as fast with ten million rows as with ten.

Owns the paging: by primary key, newest first, or along one task's index. Must not count rows.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.formats import localize
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from unfold.admin import ModelAdmin

from catalog.models import OrderItem, Product, User

PAGE_ROWS: Final = 50
# Names of counts and parameters that the dashboard translates; listed so that makemessages finds them.
COUNT_WORDS: Final = (
    gettext_noop("deleted users"),
    gettext_noop("deleted products"),
    gettext_noop("deleted order items"),
    gettext_noop("normalised"),
    gettext_noop("unchanged"),
    gettext_noop("unreadable"),
    gettext_noop("kept users"),
    gettext_noop("moved order items"),
    gettext_noop("rows"),
    gettext_noop("Num records"),
    gettext_noop("Task id"),
    gettext_noop("Country code"),
    gettext_noop("Ordered before"),
    gettext_noop("File"),
    gettext_noop("Format"),
    gettext_noop("Encoding"),
    gettext_noop("Delimiter"),
)


class RowFilterForm(forms.Form):
    """The only filter of the lists."""

    task = forms.UUIDField(label=_("Task"), required=False)


class TaskRowAdmin(ModelAdmin):
    """The list of one table."""

    columns: ClassVar[tuple[str, ...]]
    joined: ClassVar[tuple[str, ...]] = ()  # foreign keys whose rows are shown

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related(*self.joined)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Return a page of rows: one task's in the order of its records, or all tasks' newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = RowFilterForm(request.GET, auto_id="filter-%s")
        task_id = form.cleaned_data["task"] if form.is_valid() else None
        cursor = request.GET.get("cursor", "")
        if cursor and not cursor.isdecimal():
            return HttpResponseRedirect(request.path)
        rows, next_cursor = self._get_page(request, task_id, int(cursor) if cursor else None)
        context = {
            **self.admin_site.each_context(request),
            "title": capfirst(str(self.opts.verbose_name_plural)),
            "form": form,
            "task_id": task_id or "",
            "headers": [capfirst(str(self.opts.get_field(name).verbose_name)) for name in self.columns],  # type: ignore[union-attr]
            "rows": [(row, [_format(getattr(row, name)) for name in self.columns]) for row in rows],
            "change_url": f"admin:{self.opts.app_label}_{self.opts.model_name}_change",
            "cursor": cursor,
            "next_cursor": next_cursor,
            "is_fullwidth": "1",
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        return TemplateResponse(request, "catalog/rows.html", context)

    def _get_page(
        self, request: HttpRequest, task_id: uuid.UUID | None, cursor: int | None
    ) -> tuple[list[Model], int | None]:
        rows = self.get_queryset(request)
        if task_id is not None:
            rows = rows.filter(task_id=task_id).order_by("position")
            if cursor is not None:
                rows = rows.filter(position__gt=cursor)
        else:
            rows = rows.order_by("-pk")
            if cursor is not None:
                rows = rows.filter(pk__lt=cursor)
        page = list(rows[: PAGE_ROWS + 1])
        if len(page) <= PAGE_ROWS:
            return page, None
        last: Any = page[PAGE_ROWS - 1]
        return page[:PAGE_ROWS], last.position if task_id is not None else last.pk


@admin.register(User)
class UserAdmin(TaskRowAdmin):
    columns = ("first_name", "last_name", "email", "phone", "city", "birth_date", "position")


@admin.register(Product)
class ProductAdmin(TaskRowAdmin):
    columns = ("sku", "name", "category", "price", "stock", "position")


@admin.register(OrderItem)
class OrderItemAdmin(TaskRowAdmin):
    columns = ("user", "product", "quantity", "unit_price", "total", "ordered_at", "position")
    joined = ("user", "product")


def _format(value: Any) -> str:
    return str(localize(value))
