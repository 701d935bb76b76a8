"""The overview's section of processes: this process, the exit of the one before it, and invalid entries beside."""

import os

import pytest
from redis import Redis

from tasks_app.process_monitor import reports
from tasks_app.process_monitor.reporter import ProcessReporter
from tests.admin.conftest import VIEW, MakeClient
from tests.admin.pages import LIST, get, parts

pytestmark = pytest.mark.django_db


def test_the_overview_shows_what_a_process_uses_and_how_the_one_before_it_ended(
    make_client: MakeClient, redis: Redis
) -> None:
    client = make_client(VIEW)
    assert "No process reports." in get(client, "/admin/")
    reporter = ProcessReporter()
    watched = reporter.watch("mirror", os.getpid(), version="1.0.0+abcdef12")
    watched.note_exit("SIGKILL")
    reporter.report_due()
    redis.hset(reports.KEY, "mirror:1:junk", "1 {}")
    for shown in (get(client, "/admin/"), parts(client, f"{LIST}overview/live/")["overview-processes"]):
        assert "mirror 0" in shown
        assert "1.0.0+abcdef12" in shown
        assert "SIGKILL, " in shown
        assert f">{os.getpid()}<" in shown
        assert "junk" not in shown
    reporter.end()
    assert redis.hlen(reports.KEY) == 1
