"""API, admin, stream and documentation work behind each proxy, also below a path."""

import json
import re

from tests.operations.proxies.place import HEADERS, PREFIX, TASK, Place, log_in


def test_a_task_is_started_shown_and_watched(place: Place, proxy: str) -> None:
    door, prefix = place.doors[proxy], PREFIX if "below" in proxy else ""
    json_type = {"Content-Type": "application/json"}
    started = door.ask("POST", f"{prefix}/tasks", body=TASK, headers=place.token | json_type)
    assert started.status == 201, started
    location = started.headers["Location"]
    assert location == f"{prefix}/tasks/{json.loads(started.text)['id']}"
    assert door.ask("GET", location, headers=place.token).status == 200
    assert door.ask("GET", location, headers=place.token, address="::1").status == 200
    listed = door.ask("GET", f"{prefix}/tasks?limit=1", headers=place.token)
    following = json.loads(listed.text)["next"]
    assert following is None or following.startswith(f"{prefix}/tasks?")
    watched = door.ask("GET", f"{location}/stream", headers=place.token, stream=True)
    assert watched.headers["Content-Type"].startswith("text/event-stream"), watched
    assert watched.text.startswith("retry:")  # at once, while the stream stays open


def test_the_admin_and_its_files_work(place: Place, proxy: str) -> None:
    door, prefix = place.doors[proxy], PREFIX if "below" in proxy else ""
    entered = log_in(door, prefix=prefix)
    assert (entered.status, entered.headers.get("Location")) == (302, f"{prefix}/admin/"), entered
    cookie = {"Cookie": f"sessionid={entered.cookies['sessionid']}"}
    page = door.ask("GET", f"{prefix}/admin/", headers=cookie)
    assert page.status == 200
    links = set(re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text))
    assert len(links) > 10
    assert [link for link in links if not link.startswith(f"{prefix}/")] == []
    static = sorted(link for link in links if link.endswith((".css", ".js", ".svg")))[:3]
    for link in [*static, f"{prefix}/docs", f"{prefix}/schema", f"{prefix}/admin/tasks_app/taskrecord/"]:
        assert door.ask("GET", link, headers=cookie).status == 200, link
    assert door.ask("GET", f"{prefix}/stream", headers=cookie, stream=True).status == 200
    stranger = door.ask("GET", f"{prefix}/admin/tasks_app/taskrecord/")
    assert stranger.headers["Location"] == f"{prefix}/admin/login/?next={prefix}/admin/tasks_app/taskrecord/"


def test_the_openapi_description_names_the_prefix(place: Place) -> None:
    described = json.loads(place.doors["nginx, below a path"].ask("GET", f"{PREFIX}/schema").text)
    assert described["servers"] == [{"url": PREFIX}]
    scripts = re.findall(r'src="([^"]+)"', place.doors["nginx, below a path"].ask("GET", f"{PREFIX}/docs").text)
    assert scripts
    for script in scripts:
        path = script if script.startswith("/") else f"{PREFIX}/docs{script}"
        assert place.doors["nginx, below a path"].ask("GET", path).status == 200, script


def test_a_path_may_come_with_its_prefix_or_without(place: Place) -> None:
    for path in ("/health/live", f"{PREFIX}/health/live", f"{PREFIX}/metrics"):
        answer = place.direct("below").ask("GET", path, tls=False)
        assert answer.status == (401 if "metrics" in path else 200), "no redirect, because probes use http"
    assert place.direct("below").ask("GET", f"{PREFIX}x/health/live", tls=False, headers=HEADERS["Caddy"]).status == 404
