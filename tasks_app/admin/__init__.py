"""The task dashboard in Django's admin: overview, tasks, start form, audit, tokens and set-aside items.

Owns its pages: they read through read_model and change tasks through services. Must not write a row itself, nor change
an admin site beyond its own pages (longtasks/admin.py does, for this project).
"""

from tasks_app.admin import set_aside_pages, task_admin, token_pages

__all__ = ["set_aside_pages", "task_admin", "token_pages"]
