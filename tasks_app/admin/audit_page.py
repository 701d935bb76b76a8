"""The audit as a page: who did what, when, through what.

Owns its filters. Must not read the table itself (auth/audit_log).
"""

from __future__ import annotations

from typing import Final

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from tasks_app.admin.live_parts import render_page
from tasks_app.admin.paging import paging_context
from tasks_app.admin.permissions import can_view, requires
from tasks_app.auth import audit_log
from tasks_app.models import AuditEntry

ANY: Final = [("", gettext_lazy("any"))]


class AuditFilterForm(forms.Form):
    """The audit's filters, from the query string."""

    actor = forms.CharField(label=gettext_lazy("Who"), required=False, max_length=64, strip=False)
    action = forms.ChoiceField(
        label=gettext_lazy("What"), required=False, choices=[*ANY, *AuditEntry.Action.choices]
    )  # fmt: skip
    source = forms.ChoiceField(
        label=gettext_lazy("Through"), required=False, choices=[*ANY, *AuditEntry.Source.choices]
    )  # fmt: skip


@requires(can_view)
def audit_page(request: HttpRequest) -> HttpResponse:
    """Show a page of the audit."""
    form = AuditFilterForm(request.GET, auto_id="filter-%s")
    form.is_valid()
    values = form.cleaned_data
    try:
        page = audit_log.list_page(
            actor=values.get("actor", ""),
            action=values.get("action", ""),
            source=values.get("source", ""),
            cursor=request.GET.get("cursor", ""),
        )
    except ValueError:
        return HttpResponseRedirect(reverse("admin:tasks_app_auditentry_changelist"))
    context = {
        "title": gettext("Audit"),
        "form": form,
        "is_filtered": any(values.values()),
        "entries": page.entries,
        "is_fullwidth": "1",
        **paging_context(request, next_cursor=page.next_cursor),
    }
    return render_page(request, "tasks_app/audit.html", context)
