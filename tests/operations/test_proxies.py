"""Behind each proxy of deploy/proxy all works, with settings.production and TLS at the proxy; what is wrong is named."""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import yaml

from longtasks.local_stack.procfile import free_port, read_procfile
from settings.env import ROOT
from tests.operations.proxies import EXAMPLES, HOST, Answer, Door, Upstream, make_certificate, run_proxy
from tests.support.servers import Database, RedisServer
from tests.support.stack import ProcfileStack

PASSWORD = "a password of ada's"
PREFIX = "/longtasks"
OTHER_ORIGIN = f"https://{HOST}:8443"
TASK = json.dumps({"name": "upload", "params": {"numRecords": 1}})
PROXIES = {
    "nginx": ("nginx.conf", "addresses"),
    "nginx, unix sockets": ("nginx.conf", "sockets"),
    "haproxy": ("haproxy.cfg", "addresses"),
    "haproxy, unix sockets": ("haproxy.cfg", "sockets"),
    "nginx, below a path": ("nginx-subpath.conf", "below"),
}
# As each documents what it sends to a backend, for a client at 203.0.113.5 that asks by https.
HEADERS = {
    "Caddy": {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https", "X-Forwarded-Host": HOST},
    "Traefik": {
        "X-Forwarded-For": "203.0.113.5", "X-Forwarded-Host": HOST, "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https", "X-Forwarded-Server": "traefik-0", "X-Real-Ip": "203.0.113.5",
    },
    "ingress-nginx": {
        "X-Request-ID": "0123456789abcdef0123456789abcdef", "X-Real-IP": "203.0.113.5",
        "X-Forwarded-For": "203.0.113.5", "X-Forwarded-Host": HOST, "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https", "X-Forwarded-Scheme": "https", "X-Scheme": "https",
    },
}  # fmt: skip


@dataclass
class Place:
    """web, started in three ways on one database, and the proxies in front of them."""

    stack: ProcfileStack
    upstreams: dict[str, Upstream]
    doors: dict[str, Door]
    token: dict[str, str]

    def direct(self, way: str) -> Door:
        return Door(self.upstreams[way].web)


@pytest.fixture(scope="module")
def place(servers: tuple[Database, RedisServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("proxies")
    make_certificate(directory)
    environment = {
        "DJANGO_SETTINGS_MODULE": "settings.production",
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "ALLOWED_HOSTS": f"{HOST},127.0.0.1",
        "API_OPEN": "0",
        "HTTPS_ONLY": "1",
        "BIND": "::",
        "FORWARDED_ALLOW_IPS": "127.0.0.0/8",  # ::1 is a stranger
        "WEB_WORKERS": "1",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    stack = ProcfileStack(database=servers[0], redis_server=servers[1], environment=environment, roles=("web",))
    with ExitStack() as cleaning:
        cleaning.callback(stack.close)
        sockets = cleaning.enter_context(tempfile.TemporaryDirectory(prefix="longtasks-sockets-"))
        below = Upstream(free_port())
        upstreams = {
            "addresses": Upstream(stack.port),
            "sockets": Upstream(directory=sockets),
            "below": below,
        }
        stack.start()
        token = json.loads(stack.manage("token", "create", "ann", "--json").splitlines()[-1])["token"]
        stack.manage("createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.com")
        for way, changes in (
            ("sockets", {"BIND": f"unix:{sockets}", "PORT": str(free_port())}),
            ("below", {
                "BIND": "127.0.0.1", "PORT": str(below.web), "SCRIPT_NAME": f"{PREFIX}/",
                "CSRF_TRUSTED_ORIGINS": OTHER_ORIGIN,
            }),
        ):  # fmt: skip
            before = stack.environment
            stack.environment = before | changes
            stack.start_role(f"web-{way}", command=read_procfile()["web"])
            stack.environment = before
        doors = {
            name: cleaning.enter_context(
                run_proxy(example, directory=directory / str(number), certificates=directory, upstream=upstreams[way])
            )
            for number, (name, (example, way)) in enumerate(PROXIES.items())
        }
        made = Place(stack, upstreams, doors, {"Authorization": f"Bearer {token}"})
        for name, door in doors.items():
            prefix = PREFIX if "below" in name else ""
            for path, status in ((f"{prefix}/health/live", 200), (f"{prefix}/stream", 401)):
                stack.wait_for(
                    lambda door=door, path=path, status=status: door.ask("GET", path).status == status,
                    deadline_seconds=60,
                    what=lambda door=door, path=path, name=name: (
                        f"{path} behind {name}: {door.ask('GET', path)}\n"
                        + "\n".join(each.read_text() for each in stack.directory.glob("*.log"))
                    ),
                )
        yield made


@pytest.fixture(params=list(PROXIES))
def proxy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def is_live(door: Door) -> bool:
    try:
        return door.ask("GET", "/health/live", tls=False).status == 200
    except OSError:
        return False


def log_in(door: Door, *, prefix: str = "", origin: str = "", host: str = "", tls: bool = True, **more: str) -> Answer:
    """Log in as a browser does, which names the page's origin."""
    page = door.ask("GET", f"{prefix}/admin/login/", host=host, tls=tls, headers=more)
    assert page.status == 200, page
    field = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert field
    form = f"csrfmiddlewaretoken={field[1]}&username=ada&password={PASSWORD.replace(' ', '+')}&next={prefix}/admin/"
    origin = origin or f"https://{door.host}"
    return door.ask(
        "POST",
        f"{prefix}/admin/login/",
        host=host,
        tls=tls,
        body=form,
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"csrftoken={page.cookies['csrftoken']}",
            "Origin": origin,
            "Referer": f"{origin}{prefix}/admin/login/",
            "Sec-Fetch-Site": "same-origin",
            "Accept": "text/html",
            **more,
        },
    )


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
    assert watched.text.startswith("retry:")  # at once, though the stream goes on


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


def test_the_description_names_the_prefix(place: Place) -> None:
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
        assert answer.status == (401 if "metrics" in path else 200), "no redirect: probes speak http"
    assert place.direct("below").ask("GET", f"{PREFIX}x/health/live", tls=False, headers=HEADERS["Caddy"]).status == 404


@pytest.mark.parametrize("name", [name for name in PROXIES if "below" not in name])
def test_what_comes_by_http_is_redirected_or_refused(place: Place, name: str) -> None:
    door = place.doors[name]
    page = door.ask("GET", "/admin/login/?next=/x", tls=False, host=HOST)
    assert (page.status, page.headers["Location"]) == (301, f"https://{HOST}/admin/login/?next=/x")
    # A client's own word does not count.
    for more in ({}, {"X-Forwarded-Proto": "https"}):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = door.ask(method, "/tasks", tls=False, body=TASK, headers=more)
            assert (refused.status, refused.headers["Content-Type"]) == (403, "application/problem+json")
            assert "Use https" in refused.text
    asked = door.ask("GET", "/tasks", tls=False, headers=place.token)
    assert asked.status == 403
    assert "revoke" in asked.text


@pytest.mark.parametrize("name", PROXIES)
def test_a_wrong_host_is_named(place: Place, name: str) -> None:
    door, prefix = place.doors[name], PREFIX if "below" in name else ""
    for path in (f"{prefix}/tasks", f"{prefix}/stream"):
        answer = door.ask("GET", path, host="elsewhere.example:8443", headers=place.token)
        assert answer.status == 400
        assert "ALLOWED_HOSTS" in answer.text
        assert "elsewhere.example:8443" in answer.text


def test_a_wrong_host_is_logged_once_a_minute(place: Place) -> None:
    for _ in range(5):
        place.direct("addresses").ask("GET", "/tasks", tls=False, host=f"x{'y' * 200}.example")
    logged = place.stack.log_path("web").read_text()
    assert logged.count("ALLOWED_HOSTS does not list it") == 1


@pytest.mark.parametrize("accept", ["text/html,*/*", "*/*"])
def test_a_loop_of_redirects_is_named_instead(place: Place, accept: str) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.5", "Accept": accept}
    door = place.direct("addresses")
    for path in ("/admin/", "/stream"):
        answer = door.ask("GET", path, tls=False, address="::1", headers=headers)
        assert answer.status == 403, answer
        assert "FORWARDED_ALLOW_IPS" in answer.text
        assert "The peer ::1" in answer.text
    assert "FORWARDED_ALLOW_IPS does not name it: its requests are refused" in place.stack.log_path("web").read_text()


def test_a_proxy_that_does_not_say_how_the_client_came_is_told_what_to_send(place: Place) -> None:
    for path in ("/admin/", "/tasks"):
        answer = place.direct("addresses").ask("GET", path, tls=False, headers={"X-Forwarded-For": "203.0.113.5"})
        assert answer.status == 403, "redirected, it would come back for ever"
        assert "The proxy 127.0.0.1 does not say" in answer.text
        assert "X-Forwarded-Proto" in answer.text


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_the_headers_of_other_proxies_are_understood(place: Place, headers: dict[str, str]) -> None:
    door = place.direct("addresses")
    entered = log_in(door, origin=f"https://{HOST}", tls=False, **headers)
    assert entered.status == 302, entered
    started = door.ask(
        "POST", "/tasks", tls=False, body=TASK, headers={**headers, **place.token, "Content-Type": "application/json"}
    )
    assert started.status == 201, started
    assert door.ask("GET", "/stream", tls=False, headers={**headers, **place.token}, stream=True).status == 200


def test_a_form_from_another_port_names_the_origin_to_add(place: Place) -> None:
    headers = HEADERS["Caddy"]
    refused = log_in(place.direct("addresses"), origin=OTHER_ORIGIN, tls=False, **headers)
    assert refused.status == 403
    assert OTHER_ORIGIN in refused.text
    assert "CSRF_TRUSTED_ORIGINS" in refused.text
    assert "CSRF_TRUSTED_ORIGINS" in place.stack.log_path("web").read_text()
    assert log_in(place.direct("below"), origin=OTHER_ORIGIN, tls=False, **headers).status == 302


def test_an_origin_that_is_trusted_may_change_something(place: Place) -> None:
    headers = {**HEADERS["Caddy"], **place.token, "Content-Type": "application/json", "Origin": OTHER_ORIGIN}
    for way, status in (("addresses", 403), ("below", 201)):
        assert place.direct(way).ask("POST", "/tasks", tls=False, body=TASK, headers=headers).status == status


@pytest.mark.parametrize(
    "name", ["nginx.conf", "nginx-subpath.conf", "haproxy.cfg", "Caddyfile", "traefik.yaml", "ingress.yaml"]
)
def test_each_example_has_one_upstream(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert not re.search(r":(?!80\b|443\b|3000\b)\d{2,5}\b", text), "another port than web's"
    assert HOST in text or name == "haproxy.cfg"
    assert f"proxy/{name}" in (ROOT / "docs" / "proxies.md").read_text()


def test_the_ingress_names_services_that_there_are() -> None:
    services = {
        (each["metadata"]["name"], port["name"])
        for path in (ROOT / "deploy" / "kubernetes").glob("*.yaml")
        for each in yaml.safe_load_all(path.read_text())
        if each and each.get("kind") == "Service"
        for port in each["spec"]["ports"]
    }
    named = {
        (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"])
        for each in yaml.safe_load_all((EXAMPLES / "ingress.yaml").read_text())
        for rule in each["spec"]["rules"]
        for path in rule["http"]["paths"]
    }
    assert named == {("longtasks-web", "http")}
    assert named <= services
    assert yaml.safe_load((EXAMPLES / "traefik.yaml").read_text())["http"]["routers"]
