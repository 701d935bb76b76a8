"""`manage.py token create|list|revoke`: API tokens. A token is printed once, when it is created."""

from __future__ import annotations

import argparse
import json
from datetime import timedelta
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.auth import api_tokens
from tasks_app.management.actor import find_actor
from tasks_app.management.arguments import duration, text
from tasks_app.models import ApiToken

SHORTEST: Final = timedelta(hours=1)


class Command(BaseCommand):
    help = "Create, list and revoke API tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="create a token and print it; it is not shown again")
        create.add_argument("owner", type=text, help="owner of the tasks that the token starts and sees")
        create.add_argument("--scope", choices=api_tokens.SCOPES, default=api_tokens.WRITE, help="default: write")
        create.add_argument(
            "--expires-in",
            type=_lifetime,
            metavar="30d",
            help="lifetime; default: none",
        )
        create.add_argument("--note", type=text, default="", help="what the token is for")
        show = actions.add_parser("list", help="show all tokens, without their secrets")
        show.add_argument("--owner", type=text, default="", help="only tokens of this owner")
        revoke = actions.add_parser("revoke", help="revoke a token; effective within a minute")
        revoke.add_argument("id", type=int, help="id of the token, as `list` shows it")
        for action in (create, show, revoke):
            action.add_argument("--json", action="store_true", dest="as_json", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        try:
            token, secret = api_tokens.create_token(
                owner=options["owner"],
                scope=options["scope"],
                note=options["note"][:255],
                lifetime=options["expires_in"],
                created_by=find_actor(),
            )
        except ValueError as error:
            raise CommandError(f"No token was created: {error}.") from None
        self._print(options, _as_data(token) | {"token": secret}, f"{secret}\n(id {token.pk}; it is not shown again)")

    def _list(self, options: dict[str, Any]) -> None:
        rows = ApiToken.objects.order_by("pk")
        if options["owner"]:
            rows = rows.filter(owner=options["owner"])
        data = [_as_data(token) for token in rows]
        lines = [
            f"{row['id']:>5}  {row['prefix']}…  {row['state']:<8} {row['scope']:<6} {row['owner']:<20} "
            f"last used {row['lastUsedAt'] or 'never'}  {row['note']}".rstrip()
            for row in data
        ]
        self._print(options, data, "\n".join(lines) or "There are no tokens.")

    def _revoke(self, options: dict[str, Any]) -> None:
        try:
            token = api_tokens.revoke_token(token_id=options["id"], actor=find_actor())
        except ApiToken.DoesNotExist:
            raise CommandError(
                f"There is no token with id {options['id']}: `manage.py token list` shows all."
            ) from None
        self._print(options, _as_data(token), f"Token {token.prefix}… of {token.owner} is revoked.")

    def _print(self, options: dict[str, Any], data: Any, text: str) -> None:
        self.stdout.write(json.dumps(data) if options["as_json"] else text)


def _as_data(token: ApiToken) -> dict[str, Any]:
    times = {
        "createdAt": token.created_at,
        "expiresAt": token.expires_at,
        "revokedAt": token.revoked_at,
        "lastUsedAt": token.last_used_at,
    }
    return {
        "id": token.pk,
        "prefix": token.prefix,
        "owner": token.owner,
        "scope": token.scope,
        "state": api_tokens.get_state(token),
        "note": token.note,
        **{name: time.isoformat(timespec="seconds") if time else None for name, time in times.items()},
    }


def _lifetime(value: str) -> timedelta:
    found = duration(value)
    if found < SHORTEST:
        raise argparse.ArgumentTypeError(f"{value!r} is too short: give 1h or more")
    return found
