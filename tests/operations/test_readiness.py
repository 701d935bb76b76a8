"""`/health/live` and `/health/ready`: what each checks, and which clients see the cause of a fault."""

import time
from collections.abc import Generator
from dataclasses import replace

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, override_settings
from redis import Redis

from tasks_app.operations import readiness
from tasks_app.queues import redis_connection, snapshot_stream


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Generator[None, None, None]:
    readiness._complete_at.clear()
    yield
    readiness._complete_at.clear()


def without_redis() -> override_settings:
    queues = {name: {**each, "URL": "redis://127.0.0.1:1/0"} for name, each in settings.RQ_QUEUES.items()}
    return override_settings(RQ_QUEUES=queues)


@pytest.mark.django_db
def test_ready_when_everything_answers(client: Client) -> None:
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_live_queries_no_store(client: Client) -> None:
    # No django_db mark: a query would fail the test.
    with without_redis():
        assert client.get("/health/live").status_code == 200


@pytest.mark.django_db
def test_an_unavailable_redis_is_named(client: Client) -> None:
    with without_redis():
        answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "redis: does not answer" in answer.json()["detail"]
    assert "database" not in answer.json()["detail"]


@pytest.mark.django_db
def test_a_missing_migration_is_named(client: Client) -> None:
    MigrationRecorder(connection).record_unapplied("catalog", "0001_initial")
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "migrations: 1 not applied, such as catalog.0001_initial" in answer.json()["detail"]


@pytest.mark.django_db
def test_a_mirror_too_far_behind_is_named(client: Client, redis: Redis) -> None:
    long_ago = int((time.time() - 100) * 1000)
    redis.xadd(snapshot_stream.STREAM_KEY, {"s": b"{}"}, id=f"{long_ago}-1")
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "mirror: 100 s behind, 60 are allowed" in answer.json()["detail"]
    with override_settings(LONGTASKS=replace(settings.LONGTASKS, ready_lag_seconds=200)):
        assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db
@override_settings(API_OPEN=False)
def test_clients_without_a_token_see_no_cause(client: Client) -> None:
    assert client.get("/health/ready").status_code == 200
    with without_redis():
        answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["detail"]) == (503, "Not ready.")
    assert redis_connection.get_connection().ping()
