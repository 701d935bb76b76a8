"""The API's tokens in the admin: permissions, what is shown, and that the secret is shown once."""

import re

import pytest
from django.test import Client

from tasks_app.auth import api_tokens, token_cache
from tasks_app.models import ApiToken
from tests.admin.conftest import ADMINISTER, MakeClient

pytestmark = pytest.mark.django_db
PAGE = "/admin/tasks_app/apitoken/"
FORM = {"owner": "ann", "scope": "write", "note": "CI", "expires_at_0": "", "expires_at_1": ""}
SECRET = re.compile(token_cache.PREFIX + r"[\w-]{43}")


def test_the_secret_is_shown_once(make_client: MakeClient, settings: object) -> None:
    client = make_client("add_apitoken", "view_apitoken")
    shown = client.post(f"{PAGE}add/", FORM, follow=True).content.decode()
    (secret,) = set(SECRET.findall(shown))
    token = ApiToken.objects.get()
    assert (token.owner, token.scope, token.note, token.created_by) == ("ann", "write", "CI", "olga")
    token_cache.known.forget()
    assert Client(headers={"Authorization": f"Bearer {secret}"}).get("/queues").status_code == 200
    for path in (PAGE, f"{PAGE}{token.pk}/change/"):
        again = client.get(path).content.decode()
        assert not SECRET.search(again)
        assert token.digest not in again


def test_a_token_is_revoked_never_deleted(make_client: MakeClient) -> None:
    token, _ = api_tokens.create_token(owner="ann", scope="read")
    client = make_client("view_apitoken", "change_apitoken", "delete_apitoken")
    client.post(PAGE, {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert client.post(f"{PAGE}{token.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{PAGE}{token.pk}/change/", FORM | {"scope": "admin"}).status_code == 403
    token.refresh_from_db()
    assert token.scope == "read"


def test_token_pages_require_permission(make_client: MakeClient) -> None:
    token, _ = api_tokens.create_token(owner="ann", scope="read")
    client = make_client(ADMINISTER)
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}add/", FORM).status_code == 403
    viewer = make_client("view_apitoken", name="vera")
    viewer.post(PAGE, {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is None
    assert viewer.post(f"{PAGE}add/", FORM).status_code == 403
