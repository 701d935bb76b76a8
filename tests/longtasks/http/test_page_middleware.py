"""Under settings.production only health checks and metrics are answered for any Host.

Probes and scrapers use addresses that no list can contain (127.0.0.1:3000, a pod's own), over plain http.
"""

import json
from collections.abc import Sequence

import pytest
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from longtasks.http.page_middleware import HostAndLengthMiddleware
from tests.settings.good_production import GOOD_PRODUCTION, run_in_production

INSIDE = ("/health/live", "/health/ready", "/metrics", "/health/live/", "/metrics/")
OUTSIDE = (
    "/tasks", "/queues", "/docs", "/schema", "/admin/login/", "/static/x.css", "/health", "/health/", "/health/live/x",
    "/health/other", "/metricsx", "/x/metrics", "/metrics/x", "/admin/health/live", "/Health/live", "/health/live%0A",
)  # fmt: skip
OWN = "longtasks.example.com"
HOSTS = (
    "127.0.0.1:3000",
    "10.244.1.17:3000",
    "[fd00::17]:3000",
    "web:3000",
    "longtasks-web.default.svc.cluster.local.",
)
NO_HOSTS = ("", "a b", "a/b", "a@b", "127.0.0.1:x", "[::1", "a\x00b", "é", "a,b", "<script>")
ASK = """
import json, sys
import django
django.setup()
from django.test import Client
client = Client(raise_request_exception=False)
asked = json.loads(sys.stdin.read())
print(json.dumps([client.get(path, secure=secure, headers={"host": host}).status_code for path, host, secure in asked]))
"""


def ask(asked: Sequence[tuple[str, str, bool]]) -> list[int]:
    """Return the statuses of (path, host, https) under settings.production without its stores."""
    environment = {
        "METRICS_OPEN": "1",
        "REDIS_TIMEOUT_SECONDS": "0.1",
        **GOOD_PRODUCTION,
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    answered = run_in_production(ASK, environment, given=json.dumps(asked))
    assert answered.returncode == 0, answered.stderr
    statuses: list[int] = json.loads(answered.stdout)
    return statuses


def test_only_probes_and_scrapes_are_answered_over_http_for_any_host() -> None:
    inside = [(path, host, secure) for path in INSIDE for host in (*HOSTS, OWN) for secure in (False, True)]
    strange = [(path, host, True) for path in OUTSIDE for host in HOSTS]
    plain = [(path, OWN, False) for path in OUTSIDE]
    statuses = ask([*inside, *strange, *plain])

    # 503: the stores are unavailable.
    assert {asked: status for asked, status in zip(inside, statuses, strict=False) if status not in (200, 503)} == {}
    statuses = statuses[len(inside) :]
    assert {asked: status for asked, status in zip(strange, statuses, strict=False) if status != 400} == {}
    statuses = statuses[len(strange) :]
    assert {asked: status for asked, status in zip(plain, statuses, strict=True) if status not in (301, 308)} == {}


@pytest.mark.parametrize("path", INSIDE)
@pytest.mark.parametrize("host", NO_HOSTS)
def test_an_invalid_host_is_refused(host: str, path: str) -> None:
    """The host may be written to a log or a Location header later."""
    from django.core.exceptions import DisallowedHost

    middleware = HostAndLengthMiddleware(lambda _: HttpResponse())
    with override_settings(ALLOWED_HOSTS=[OWN], DEBUG=False), pytest.raises(DisallowedHost):
        middleware(RequestFactory().get(path, headers={"host": host}))


def test_http_1_0_without_a_host_is_answered() -> None:
    """HAProxy's `option httpchk` sends such requests."""
    middleware = HostAndLengthMiddleware(lambda _: HttpResponse())
    request = RequestFactory().get("/health/live")
    request.META.pop("HTTP_HOST", None)
    with override_settings(ALLOWED_HOSTS=[OWN], DEBUG=False):
        assert middleware(request).status_code == 200
