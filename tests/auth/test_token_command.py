"""`manage.py token`: creates, lists and revokes."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tasks_app.auth import token_cache

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    call_command("token", *arguments)
    return json.loads(capsys.readouterr().out)


def test_the_command_creates_lists_and_revokes(capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "create", "ann", "--scope", "read", "--expires-in", "30d", "--note", "CI", "--json")
    assert made["token"].startswith(token_cache.PREFIX)
    assert len(made["token"]) == 46
    assert (made["owner"], made["scope"], made["state"], made["note"]) == ("ann", "read", "valid", "CI")
    (listed,) = run(capsys, "list", "--json")
    assert listed == {name: value for name, value in made.items() if name != "token"}
    client = Client(headers={"Authorization": f"Bearer {made['token']}"})
    assert client.get("/queues").status_code == 200
    assert run(capsys, "revoke", str(made["id"]), "--json")["state"] == "revoked"
    token_cache.known.forget()
    assert client.get("/queues").status_code == 401
    with pytest.raises(CommandError, match="no token with id 999"):
        call_command("token", "revoke", "999")
    with pytest.raises(CommandError, match="30d"):
        call_command("token", "create", "ann", "--expires-in", "soon")
