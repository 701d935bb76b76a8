"""GET /health/live and /health/ready."""

from typing import Any

import pytest
from django.test import Client

from tests.api.conftest import assert_problem

pytestmark = pytest.mark.django_db


def test_live_and_ready(client: Client, settings: Any, tmp_path: Any) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}
    assert client.get("/health/ready/").json() == {"status": "ok"}
    settings.RQ_QUEUES = {
        name: {**config, "URL": f"unix://{tmp_path}/x"} for name, config in settings.RQ_QUEUES.items()
    }
    assert_problem(client.get("/health/ready"), 503)
    assert client.get("/health/live").status_code == 200
