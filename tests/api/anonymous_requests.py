"""Requests with or without a token, from any address."""

from typing import Any

from django.test import Client

from tasks_app.auth import api_tokens, token_cache

LIMIT = 5
WRONG = {"Authorization": f"Bearer {token_cache.PREFIX}{'A' * 43}"}


def make_token(owner: str = "ann") -> dict[str, str]:
    return {"Authorization": f"Bearer {api_tokens.create_token(owner=owner, scope='write')[1]}"}


def get(headers: dict[str, str], address: str = "198.51.100.7", path: str = "/queues", **more: str) -> Any:
    return Client().get(path, headers=headers, REMOTE_ADDR=address, **more)


def statuses(count: int, *arguments: Any, **options: Any) -> list[int]:
    return [get(*arguments, **options).status_code for _ in range(count)]
