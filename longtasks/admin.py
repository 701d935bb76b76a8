"""The admin site of this project: all of it is the task dashboard.

Owns what tasks_app must not do to the admin of another project: the login, the index, the pages of users and RQ's pages.
"""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from tasks_app.admin import django_rq_pages, login_limit, staff_users
from tasks_app.database.django_internals import replace_login

__all__ = ["django_rq_pages", "login_limit", "staff_users"]

admin.site.login_form = login_limit.BoundedLoginForm
replace_login(admin.site, login_limit.login)
admin.site.index_template = "tasks_app/overview.html"
admin.site.index_title = _("Overview")
