"""The scheduled jobs, run by RQ's cron: `manage.py rqcron longtasks.cron`. One such process is enough.

Owns the schedule. Each function is in RQ_ALLOWED_FUNCTIONS, is short, and resumes where its last run ended. Must not
contain a job itself.
"""

import django
from django.apps import apps
from rq import cron

if not apps.ready:  # `rq cron` imports this module without Django
    django.setup()

from tasks_app.engine.rq_internals import make_cron_write_json
from tasks_app.pruning import run_scheduled
from tasks_app.queues.queue_names import LOW

make_cron_write_json()

cron.register(run_scheduled, LOW, cron="*/10 * * * *", job_timeout=30, name="prune")
