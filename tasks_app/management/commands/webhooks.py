"""`manage.py webhooks`: delivers the webhooks of ended tasks. Run one or more; none if no task has a callbackUrl.

Owns the threads that send. Must not know when a delivery is due or given up (webhooks/deliveries).
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from tasks_app.api.file_serializers import results_data
from tasks_app.api.json_rendering import to_json
from tasks_app.api.response_serializers import task_data
from tasks_app.conf import settings
from tasks_app.domain import task_snapshot
from tasks_app.management.service_command import ServiceCommand
from tasks_app.models import WebhookDelivery
from tasks_app.read_model.task_results import find_results
from tasks_app.resilience.batch_isolation import is_outage
from tasks_app.webhooks import deliveries
from tasks_app.webhooks.sender import Outcome, send

logger = logging.getLogger(__name__)
SENDERS: Final = 16  # a receiver that hangs blocks one until its timeout
POLL_SECONDS: Final = 0.5


class Command(ServiceCommand):
    help = "Deliver webhooks. Each attempt is signed and recorded in the task's history. SIGTERM ends the process."
    process_kind = "webhooks"
    once_help = "attempt the due deliveries once, and exit"

    def set_up(self) -> None:
        self.running: dict[Future[Outcome], WebhookDelivery] = {}

    def run_rounds(self) -> None:
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook") as self.pool:
            super().run_rounds()

    def is_busy(self) -> bool:
        return bool(self.running)

    def note_failure(self, error: Exception) -> None:
        if is_outage(error):
            super().note_failure(error)
        else:
            # Deliveries that the database refuses are set aside, so this is another error. The process must not end:
            # its successor would send again what is being sent now.
            logger.error("a round of webhooks failed and will be retried", exc_info=error)

    def work(self) -> None:
        """Dispatch due deliveries and save the outcomes. All SQL runs in this thread; the senders use none."""
        if not self.should_stop:
            for delivery in deliveries.claim_due(limit=SENDERS - len(self.running)):
                self.begin(delivery)
        done, _ = wait(self.running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED) if self.running else ((), ())
        if not self.running:
            time.sleep(POLL_SECONDS)
        for future in done:
            delivery = self.running[future]
            if error := future.exception():
                deliveries.set_aside(delivery, error)
            else:
                self.close(delivery, future.result())
            del self.running[future]  # last: an outcome that could not be saved is saved in the next round

    def begin(self, delivery: WebhookDelivery) -> None:
        """Hand an attempt to a sender thread; set the delivery aside if it cannot be read."""
        try:
            snapshot = task_snapshot.decode(delivery.snapshot)
            body = to_json(task_data(snapshot) | results_data(find_results(snapshot)))
        except Exception as error:
            if is_outage(error):
                raise
            deliveries.set_aside(delivery, error)
        else:
            self.running[self.pool.submit(self.deliver, delivery, body)] = delivery

    def close(self, delivery: WebhookDelivery, outcome: Outcome) -> None:
        """Save the outcome of an attempt; set the delivery aside if the database refuses it."""
        if outcome.error:
            logger.info("webhook of task %s, attempt %d: %s", delivery.task_id, delivery.attempts, outcome.error)
        try:
            deliveries.close(delivery, error=outcome.error, is_final=outcome.is_final)
        except Exception as error:
            if is_outage(error):
                raise
            deliveries.set_aside(delivery, error)

    def deliver(self, delivery: WebhookDelivery, body: bytes) -> Outcome:
        """Send one attempt, in a sender thread."""
        return send(
            url=delivery.url,
            body=body,
            delivery_id=deliveries.delivery_id_of(delivery),
            secret=settings.LONGTASKS.webhook_secret,
            timeout_seconds=settings.LONGTASKS.webhook_timeout_seconds,
            allow_private=settings.LONGTASKS.webhook_allow_private,
            ports=settings.LONGTASKS.webhook_ports,
        )
