"""The task dashboard in Django's admin: overview, tasks, start form, audit, and RQ's own pages beside it.

Shows what queries tell and changes things through commands only. Must not write a row itself.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from tasks_app.admin import login, people, rq_pages, set_aside, task_admin, tokens

__all__ = ["login", "people", "rq_pages", "set_aside", "task_admin", "tokens"]

admin.site.login_form = login.BoundedLoginForm
admin.site.login = login.login  # type: ignore[method-assign]
admin.site.index_template = "tasks_app/overview.html"
admin.site.index_title = _("Overview")
