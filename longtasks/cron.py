"""What runs on a schedule, by RQ's cron: `manage.py rqcron longtasks.cron`. One such process, anywhere, is enough.

Owns the times. Each function is in RQ_ALLOWED_FUNCTIONS, short, and goes on where the last run ended.
"""

from functools import partial
from typing import Any

import django
from django.apps import apps
from rq import cron
from rq.queue import Queue
from rq.serializers import JSONSerializer

if not apps.ready:  # `rq cron` imports this module without Django
    django.setup()

from tasks_app.pruning import run_scheduled
from tasks_app.queues.queue_names import LOW

# RQ's cron would write its jobs with pickle, whatever the queue's settings say; workers here read JSON only.
_rq_cron: Any = cron
_rq_cron.Queue = partial(Queue, serializer=JSONSerializer)

cron.register(run_scheduled, LOW, cron="*/10 * * * *", job_timeout=30, name="prune")
