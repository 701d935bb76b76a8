"""The security headers of every response, and that none allows another origin."""

import pytest
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("closed_api")]


@pytest.mark.parametrize("path", ["/tasks", "/health/live", "/nothing", "/schema"])
def test_responses_have_security_headers_and_no_cors_headers(path: str) -> None:
    response = Client().get(path, headers={"Origin": "https://evil.example"})
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]
    assert not response.cookies
    preflight = Client().options(
        path, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert not [name for name in preflight.headers if name.lower().startswith("access-control-")]
