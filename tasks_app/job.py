"""The job class that RQ loads by name (settings.RQ['JOB_CLASS']): the name that people's settings and commands use.

Owns the name only: services/rq_job.py has the class.
"""

from tasks_app.services.rq_job import TaskJob

__all__ = ["TaskJob"]
