"""The task dashboard in Django's admin: overview, tasks, start form, audit, and RQ's own pages beside it.

Shows what queries tell and changes things through commands only. Must not write a row itself.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from tasks_app.admin import people, rq_pages, set_aside, task_admin, tokens

__all__ = ["people", "rq_pages", "set_aside", "task_admin", "tokens"]

admin.site.index_template = "tasks_app/overview.html"
admin.site.index_title = _("Overview")
