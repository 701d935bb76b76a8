"""When a token was last used: noted, but not for each request."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks_app.auth import token_use
from tasks_app.models import ApiToken
from tests.api.conftest import start_upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]


def test_last_use_is_written_at_intervals(client_of: Any) -> None:
    client = client_of("ann")
    start_upload(client)
    token = ApiToken.objects.get()
    assert token.last_used_at is None
    began = datetime.now(UTC)
    token_use.note_used({token.pk})
    token.refresh_from_db()
    first = token.last_used_at
    assert began <= first <= datetime.now(UTC)
    token_use.note_used({token.pk})
    token.refresh_from_db()
    assert token.last_used_at == first
