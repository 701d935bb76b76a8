"""Jobs of other functions in our queues: which of them a worker runs.

Owns the check against RQ_ALLOWED_FUNCTIONS. Must not run a job (worker).
"""

from __future__ import annotations

from rq.exceptions import DeserializationError
from rq.job import Job

from tasks_app.conf import settings


def find_refusal(job: Job) -> str:
    """Return why a worker does not run the job; "" if it does."""
    try:
        function = job.func_name
    except DeserializationError:
        return (
            "The job's data is not valid JSON; the job was not run. "
            "Queues here are filled with rq.serializers.JSONSerializer only."
        )
    if function not in settings.RQ_ALLOWED_FUNCTIONS:
        return f"The function {function!r} is not in RQ_ALLOWED_FUNCTIONS (settings/base.py); the job was not run."
    return ""
