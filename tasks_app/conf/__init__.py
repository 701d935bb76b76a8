"""The settings of tasks_app: what they mean, and where they come from in a project that is ours, and in any other one.

All of tasks_app imports `settings` from here. Must not import Django models, nor anything else of tasks_app.
"""

from tasks_app.conf.project import settings

__all__ = ["settings"]
