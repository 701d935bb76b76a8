"""X-Request-ID: a valid one is returned, any other is replaced."""

import pytest
from django.test import Client


@pytest.mark.parametrize("sent", ["abc-1", "A.b_c:1", "x" * 64])
def test_a_valid_request_id_is_returned(client: Client, sent: str) -> None:
    for path in ("/health/live", "/nothing"):
        assert client.get(path, headers={"X-Request-ID": sent})["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "<script>", "ñ", "a\n"])
def test_an_invalid_request_id_is_replaced(client: Client, sent: str) -> None:
    response = client.get("/health/live", headers={"X-Request-ID": sent})
    assert len(response["X-Request-ID"]) == 32
    assert response["X-Request-ID"] != client.get("/health/live")["X-Request-ID"]
