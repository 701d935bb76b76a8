"""The fixture `place`: the service started in several ways on one database, behind each proxy."""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from loadtests.started.servers import Database, RedisServer
from loadtests.started.stack import ProcfileStack
from longtasks.local_stack.procfile import free_port, read_procfile
from tests.operations.proxies.proxy_processes import HOST, Answer, Door, Upstream, make_certificate, run_proxy

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


# The headers that each documents to send to a backend, for an https request of a client at 203.0.113.5.
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
    """web, started in several ways on one database, and the proxies in front of them."""

    stack: ProcfileStack
    upstreams: dict[str, Upstream]
    doors: dict[str, Door]
    token: dict[str, str]

    def direct(self, way: str) -> Door:
        return Door(self.upstreams[way].web)


@pytest.fixture(scope="package")
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
        "FORWARDED_ALLOW_IPS": "127.0.0.0/8",  # ::1 is not trusted
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
    """Log in as a browser does, with the page's origin."""
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
