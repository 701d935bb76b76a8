"""The task dashboard in Django's admin: overview, tasks, start form, audit, and RQ's own pages beside it.

Owns its pages: they read through read_model and change tasks through services. Must not write a row itself.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from tasks_app.admin import django_rq_pages, login_limit, set_aside_pages, staff_users, task_admin, token_pages
from tasks_app.database.django_internals import replace_login

__all__ = ["django_rq_pages", "login_limit", "set_aside_pages", "staff_users", "task_admin", "token_pages"]

admin.site.login_form = login_limit.BoundedLoginForm
replace_login(admin.site, login_limit.login)
admin.site.index_template = "tasks_app/overview.html"
admin.site.index_title = _("Overview")
