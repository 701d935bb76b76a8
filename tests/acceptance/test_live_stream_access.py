"""The live stream for browsers from outside: the admin's session, tickets, and the limit of each caller."""

import http.client
import json
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.acceptance.conftest import Guarded
from tests.acceptance.streams import wait_for_stream, wait_until_known, watch

# Makes members of the staff and logs them in as the admin's form does; prints the keys of their sessions.
IN_A_ROW = 40  # refusals, after which no process has a place
LOG_IN = """
import json
from django.contrib.auth.models import Permission, User
from django.test import Client

keys = {{}}
for name, permission in {people!r}.items():
    user, _ = User.objects.get_or_create(username=name, defaults={{"is_staff": True}})
    user.user_permissions.set([Permission.objects.get(codename=permission)])
    client = Client()
    client.force_login(user)
    keys[name] = client.session.session_key
print(json.dumps(keys))
"""


@pytest.fixture(autouse=True)
def _stream_answers(guarded: Guarded) -> None:
    wait_for_stream(guarded)


def log_in(guarded: Guarded, **people: str) -> list[dict[str, str]]:
    """Return the headers of the browsers of staff users, each with one permission."""
    keys = json.loads(guarded.stack.manage("shell", "--command", LOG_IN.format(people=people)).splitlines()[-1])
    return [{"Cookie": f"csrftoken=x; sessionid={keys[name]}", "Sec-Fetch-Site": "same-origin"} for name in people]


def get_ticket(guarded: Guarded, headers: dict[str, str], **body: str) -> str:
    answer = guarded.stack.post("/stream-tickets", body, headers=headers)
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store"), answer
    return str(answer.json["ticket"])


def refusal(guarded: Guarded, path: str, headers: dict[str, str]) -> dict[str, Any]:
    with closing(watch(guarded, path, headers)) as stream:
        assert stream.response.headers["Content-Type"] == "application/problem+json"
        assert not [name for name in stream.response.headers if name.lower().startswith("access-control-")]
        body: dict[str, Any] = json.loads(stream.response.read())
        assert body["status"] == stream.response.status
        return body


def test_a_session_and_a_ticket_watch_a_task_to_its_end(guarded: Guarded) -> None:
    (ada,) = log_in(guarded, ada="view_taskrecord")
    of_ann, of_bob = guarded.start(records=2000), guarded.start(headers=guarded.bob)
    ticket = get_ticket(guarded, guarded.ann, taskId=of_ann)
    for path, headers in ((f"/tasks/{of_ann}/stream", ada), (f"/tasks/{of_ann}/stream?ticket={ticket}", {})):
        with closing(watch(guarded, path, headers)) as stream:
            assert stream.response.status == 200
            seen = list(stream.messages())
        assert seen[0].event == "task"
        assert "finished" in (seen[-1].data["status"], seen[0].data["status"])
    guarded.stack.wait_for_record(of_bob)
    guarded.stack.wait_for_record(of_ann)
    with closing(watch(guarded, "/stream?lastEventId=0", ada)) as stream:  # of all owners
        stream.until("finished", task_id=of_bob)
    with closing(watch(guarded, f"/stream?lastEventId=0&ticket={get_ticket(guarded, guarded.bob)}", {})) as stream:
        seen = stream.until("finished", task_id=of_bob)
    assert of_ann not in {message.data["taskId"] for message in seen}
    # The header has the newer event: EventSource reconnects to the same address with it.
    path = f"/tasks/{of_ann}/stream?lastEventId=0"
    with closing(watch(guarded, path, ada)) as stream:
        ids = [message.id for message in stream.messages()]
    with closing(watch(guarded, path, ada, last_id=ids[-1])) as stream:
        assert stream.response.status == 204


def test_an_unauthorized_stream_gets_a_problem(guarded: Guarded) -> None:
    ada, eve = log_in(guarded, ada="view_taskrecord", eve="view_auditentry")
    task_id = guarded.start()
    own, foreign = f"/tasks/{task_id}/stream", "/stream"
    for path in (own, foreign):
        assert refusal(guarded, path, {})["status"] == 401
        assert refusal(guarded, path, {"Cookie": "sessionid=" + "a" * 32})["status"] == 401
        assert refusal(guarded, path, {**ada, "Authorization": "Bearer lt_" + "A" * 43})["status"] == 401
        assert "view_taskrecord" in refusal(guarded, path, eve)["detail"]
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "http://evil.example"},
            {"Origin": f"http://127.0.0.1:{guarded.stack.port + 1}"},  # another port is another origin
            {"Origin": "null"},
        ):
            # An older browser sends the origin only; if Sec-Fetch-Site is present, it decides.
            sent = {name: value for name, value in ada.items() if name != "Sec-Fetch-Site"} | headers
            assert "another origin" in refusal(guarded, path, sent)["detail"]
        for query in ("token=x", "access_token=x", "ticket=x&token=x"):
            body = refusal(guarded, f"{path}?{query}", guarded.ann)
            assert body["status"] == 400
            assert "/stream-tickets" in body["detail"]
        for query, field in (("a=1", "a"), ("lastEventId=x", "lastEventId"), ("ticket=a&ticket=b", "ticket")):
            body = refusal(guarded, f"{path}?{query}", guarded.ann)
            assert (body["status"], body["errors"][0]["field"]) == (400, field)
        assert refusal(guarded, path + "?" + "&" * 2000 + "a=1&" * 1400, {})["status"] == 400
    # A ticket is for one request, of one task where it says so, and of its owner's tasks.
    ticket = get_ticket(guarded, guarded.ann, taskId=task_id)
    assert refusal(guarded, f"/stream?ticket={ticket}", {})["status"] == 403
    assert refusal(guarded, f"{own}?ticket={ticket}", {})["status"] == 401
    assert refusal(guarded, f"{own}?ticket={get_ticket(guarded, guarded.bob)}", {})["status"] == 404
    assert guarded.stack.post("/stream-tickets", {"taskId": task_id}, headers=guarded.bob).status == 404
    assert guarded.stack.post("/stream-tickets", {}).status == 401


def test_no_secret_in_a_url_is_logged(guarded: Guarded) -> None:
    guarded.stack.environment["LOG_LEVEL"] = "DEBUG"
    try:
        guarded.stack.restart_role("web")
        wait_for_stream(guarded)
        secrets = [get_ticket(guarded, guarded.ann) for _ in range(3)]
        paths = [f"/stream?ticket={secrets[0]}", f"/tasks/x/stream?ticket={secrets[1]}", f"/x?ticket={secrets[2]}"]
        for name in ("token", "access_token", "ticket", "lastEventId", "a"):
            secrets.append(f"lt_in-{name}")
            paths.append(f"/stream?{name}={secrets[-1]}")
        for path in (*paths, *paths):
            for headers in ({}, {"Sec-Fetch-Site": "cross-site"}):
                with closing(watch(guarded, path, headers)) as stream:
                    answered = b"" if stream.response.status == 200 else stream.response.read()
                    assert not [secret for secret in secrets if secret.encode() in answered]
            with closing(http.client.HTTPConnection("127.0.0.1", guarded.stack.port, timeout=10)) as connection:
                connection.request("GET", path)  # on another connection
                connection.getresponse().read()
    finally:
        del guarded.stack.environment["LOG_LEVEL"]
        guarded.stack.restart_role("web")
        wait_for_stream(guarded)
    logs = "".join(guarded.stack.log_path(role).read_text() for role in guarded.stack.roles)
    assert not [secret for secret in secrets if secret in logs]
    with guarded.stack.redis() as client:
        assert not [key for key in client.scan_iter() if any(secret.encode() in key for secret in secrets)]


def test_open_streams_end_with_their_session_or_token(guarded: Guarded) -> None:
    names = ("kate", "lars", "mary", "nick", "olga")
    with ExitStack() as opened:
        sessions = log_in(guarded, **dict.fromkeys(names, "view_taskrecord"))
        streams = [opened.enter_context(closing(watch(guarded, "/stream", session))) for session in sessions]
        assert [stream.response.status for stream in streams] == [200] * len(names)
        change = (
            "from django.contrib.auth.models import User; from django.contrib.sessions.models import Session\n"
            "users = {user.username: user for user in User.objects.all()}\n"
            "for session in Session.objects.all():\n"
            "    if session.get_decoded()['_auth_user_id'] == str(users['kate'].pk): session.delete()\n"
            "User.objects.filter(username='lars').update(is_active=False)\n"
            "users['mary'].user_permissions.clear()\n"
            "users['nick'].set_password('another'); users['nick'].save()\n"
        )
        guarded.stack.manage("shell", "--command", change)
        for stream in streams[:-1]:
            for _ in stream.messages():  # until the stream ends; a read that lasts too long raises
                pass
        task_id = guarded.start()
        assert streams[-1].until("finished", task_id=task_id)


def test_one_token_cannot_open_all_streams(guarded: Guarded) -> None:
    _, greedy = guarded.make_token("ann")
    wait_until_known(guarded, greedy)

    with ExitStack() as opened:
        refused = 0
        while refused < IN_A_ROW:  # each of web's processes has places of its own
            stream = opened.enter_context(closing(watch(guarded, "/stream", greedy)))
            refused = refused + 1 if stream.response.status != 200 else 0
        body = json.loads(stream.response.read())
        assert (stream.response.status, body["status"]) == (429, 429)
        assert int(stream.response.headers["Retry-After"]) >= 1
        assert "at most 100" in body["detail"]
        ticket = get_ticket(guarded, greedy)
        assert refusal(guarded, f"/stream?ticket={ticket}", {})["status"] == 429  # the same caller
        with closing(watch(guarded, "/stream", guarded.ann)) as other:
            assert other.response.status == 200
    wait_until_known(guarded, greedy)  # streams can be opened again
