"""The overview: queues, charts, and warnings."""

import pytest

from tasks_app.queues import pauses, queue_names
from tests.admin.conftest import ADMINISTER, VIEW, MakeClient, start
from tests.admin.pages import LIST, get, parts

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_overview_shows_waiting_tasks_and_that_no_worker_is_alive(make_client: MakeClient) -> None:
    start()
    shown = get(make_client(ADMINISTER), "/admin/")
    assert "No worker is alive" in shown
    assert shown.count("<svg") == 4
    assert "Pause low" in shown


def test_a_stalled_queue_does_not_look_idle(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks_app.admin import overview

    monkeypatch.setattr(overview, "STALLED_SECONDS", 0.0)
    start()
    assert "stalled" in parts(make_client(VIEW), f"{LIST}overview/live/")["overview-queues"]


def test_charts_are_sent_again_only_when_a_minute_is_over(make_client: MakeClient) -> None:
    client = make_client(VIEW)

    def minute_of(charts: str) -> str:
        return charts.split('data-minute="')[1][:4]

    minute = minute_of(parts(client, f"{LIST}overview/live/")["overview-charts"])
    again = parts(client, f"{LIST}overview/live/?minute={minute}")
    # A minute may end between the two requests.
    assert "overview-charts" not in again or minute_of(again["overview-charts"]) != minute
    assert "overview-charts" in parts(client, f"{LIST}overview/live/?minute=before")


def test_the_overview_says_that_rq_suspends_all_queues(make_client: MakeClient) -> None:
    client = make_client(VIEW)
    assert "rqresume" not in client.get("/admin/").content.decode()
    pauses.write_suspension(suspended=True)
    assert client.get("/admin/").content.decode().count("manage.py rqresume") == len(queue_names.QUEUES)
