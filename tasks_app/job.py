"""The job class that RQ loads by name (settings.RQ['JOB_CLASS']); users' settings and commands contain this name.

Owns the name only: services/rq_job.py has the class.
"""

from tasks_app.services.rq_job import TaskJob

__all__ = ["TaskJob"]
