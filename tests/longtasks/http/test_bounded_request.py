"""Requests without a query share one empty QueryDict, which none of them can change."""

import pytest

from longtasks.http.bounded_request import BoundedRequest
from tests.longtasks.test_api_handler import make_environ


def test_the_shared_empty_query_is_immutable() -> None:
    first, second = BoundedRequest(make_environ("/a")), BoundedRequest(make_environ("/b"))
    assert first.GET is second.GET
    assert not first.GET
    with pytest.raises(AttributeError, match="immutable"):
        first.GET["a"] = "b"


def test_a_query_is_its_own_requests() -> None:
    request = BoundedRequest(make_environ("/a", QUERY_STRING="wait=3&x=%C3%A9"))
    assert request.GET.dict() == {"wait": "3", "x": "é"}
    assert request.GET is request.GET
