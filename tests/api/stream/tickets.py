"""Tickets for a live stream: requested with a token, and redeemed."""

from typing import Any

from django.test import Client

from tasks_app.api.stream.access import Viewer, identify_viewer
from tasks_app.auth import api_tokens, token_cache


def make_token(owner: str, scope: str = "read", **options: Any) -> tuple[int, Client]:
    token, secret = api_tokens.create_token(owner=owner, scope=scope, **options)
    token_cache.known.forget()
    return token.pk, Client(headers={"Authorization": f"Bearer {secret}"})


def ask(client: Client, body: Any = None) -> Any:
    return client.post("/stream-tickets", body or {}, content_type="application/json")


def redeem(ticket: str) -> Viewer:
    return identify_viewer({"REMOTE_ADDR": "192.0.2.1"}, ticket=ticket)
