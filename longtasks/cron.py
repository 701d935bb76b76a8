"""The scheduled jobs, run by RQ's cron: `manage.py rqcron longtasks.cron`. One such process is enough.

Owns the schedule. Each function is in RQ_ALLOWED_FUNCTIONS, is short, and resumes where its last run ended. Must not
contain a job itself.
"""

from functools import partial
from typing import Any

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from rq import cron
from rq.queue import Queue
from rq.serializers import JSONSerializer

if not apps.ready:  # `rq cron` imports this module without Django
    django.setup()

from tasks_app.pruning import run_scheduled
from tasks_app.queues.queue_names import LOW

# RQ's cron always writes its jobs with pickle, and the workers read JSON only: replace the class that it uses.
_rq_cron: Any = cron
if not hasattr(_rq_cron, "Queue"):
    raise ImproperlyConfigured(f"rq.cron has no Queue: adapt {__name__} to this version of RQ.")
_rq_cron.Queue = partial(Queue, serializer=JSONSerializer)

cron.register(run_scheduled, LOW, cron="*/10 * * * *", job_timeout=30, name="prune")
