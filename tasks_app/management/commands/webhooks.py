"""`manage.py webhooks`: delivers the webhooks of ended tasks. Run one or more; none if no task has a callbackUrl."""

from __future__ import annotations

import logging
import os
import signal
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections, connections

from tasks_app.api.json_rendering import to_json
from tasks_app.api.response_serializers import task_data
from tasks_app.domain import task_snapshot
from tasks_app.models import WebhookDelivery
from tasks_app.process_monitor.reporter import start_reporting
from tasks_app.resilience.backoff import Backoff, ShutdownRequested
from tasks_app.resilience.batch_isolation import is_outage
from tasks_app.webhooks import deliveries
from tasks_app.webhooks.sender import Outcome, send

logger = logging.getLogger(__name__)
SENDERS: Final = 16  # a receiver that hangs holds one until its timeout
LOOK_SECONDS: Final = 0.5


class Command(BaseCommand):
    help = "Deliver webhooks. Each attempt is signed and recorded in the task's history. SIGTERM ends the process."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="attempt the due deliveries once, and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stop = Event()
        self.should_begin_anew = False
        signal.signal(signal.SIGHUP, self.request_new_code)
        signal.signal(signal.SIGTERM, self.request_stop)
        signal.signal(signal.SIGINT, self.request_stop)
        self.running: dict[Future[Outcome], WebhookDelivery] = {}
        reporter = None if options["once"] else start_reporting("webhooks")
        self.run(once=options["once"])
        if reporter is not None and not self.should_begin_anew:
            reporter.end()
        if self.should_begin_anew:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a flag would be forgotten
            connections.close_all()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the new code has its own handler
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (this very command again)

    def run(self, *, once: bool) -> None:
        """Work until a stop is requested, then wait for the running deliveries."""
        patience = Backoff(should_stop=self.stop.is_set)
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook") as self.pool:
            while not self.stop.is_set() or self.running:
                try:
                    close_old_connections()
                    self.work()
                    patience = Backoff(should_stop=self.stop.is_set)
                except Exception as error:
                    if is_outage(error):
                        logger.warning("webhooks wait for Redis or the database: %s", error)
                    else:
                        # Not an item's, for these are set aside. A process that ended would send again what is under way.
                        logger.exception("a round of webhooks failed and will be retried")
                    try:
                        patience.wait()
                    except ShutdownRequested:
                        return
                if once and not self.running:
                    return

    def work(self) -> None:
        """Take what is due, and write down what has been tried. All SQL is here; the senders know none."""
        if not self.stop.is_set():
            for delivery in deliveries.claim_due(limit=SENDERS - len(self.running)):
                self.running[self.pool.submit(self.deliver, delivery)] = delivery
        done, _ = wait(self.running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED) if self.running else ((), ())
        if not self.running:
            self.stop.wait(LOOK_SECONDS)
        for future in done:
            delivery = self.running[future]
            if error := future.exception():
                deliveries.set_aside(delivery, error)
            else:
                self.close(delivery, future.result())
            del self.running[future]  # not before: what could not be written down is written in the next round

    def close(self, delivery: WebhookDelivery, outcome: Outcome) -> None:
        """Save the outcome of an attempt; set the delivery aside if the database refuses it."""
        if outcome.error:
            logger.info("webhook of task %s, try %d: %s", delivery.task_id, delivery.attempts, outcome.error)
        try:
            deliveries.close(delivery, error=outcome.error, is_final=outcome.is_final)
        except Exception as error:
            if is_outage(error):
                raise
            deliveries.set_aside(delivery, error)

    def deliver(self, delivery: WebhookDelivery) -> Outcome:
        body = to_json(task_data(task_snapshot.decode(delivery.snapshot)))
        return send(
            url=delivery.url,
            body=body,
            delivery_id=deliveries.delivery_id_of(delivery),
            secret=settings.LONGTASKS.webhook_secret,
            timeout_seconds=settings.LONGTASKS.webhook_timeout_seconds,
            allow_private=settings.LONGTASKS.webhook_allow_private,
            ports=settings.LONGTASKS.webhook_ports,
        )

    def request_new_code(self, signum: int, frame: FrameType | None) -> None:
        """SIGHUP: replace the process image, so that the same process continues with the current code."""
        self.should_begin_anew = True
        self.stop.set()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.should_begin_anew = False
        self.stop.set()
