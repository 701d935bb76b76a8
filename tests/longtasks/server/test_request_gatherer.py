"""Where a request ends, and which limits it has: without a socket."""

import pytest

from longtasks.http.request_head import BODY_BYTES, HEADER_BYTES, Refused
from longtasks.server import request_gatherer
from longtasks.server.request_gatherer import RequestGatherer
from tests.longtasks.server.client import POST

WHOLE = POST + b"Content-Length: 3\r\n\r\nabc"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def requests() -> RequestGatherer:
    return RequestGatherer()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_request_is_found_when_its_last_byte_has_arrived(requests: RequestGatherer, size: int) -> None:
    found = []
    for start in range(0, len(WHOLE), size):
        requests.add(WHOLE[start : start + size])
        found.append(requests.find_request())
    assert found == [False] * (len(found) - 1) + [True]
    assert requests.head == POST + b"Content-Length: 3\r\n"
    assert requests.pass_request() == WHOLE
    assert (requests.waiting_bytes, requests.held_bytes) == (0, len(WHOLE))
    requests.end_request()
    assert requests.held_bytes == 0


def test_requests_that_arrive_together_are_passed_on_one_by_one(requests: RequestGatherer) -> None:
    other = POST + b"\r\n"
    requests.add(b"\r\n" + WHOLE + other + b"\r\n\n" + WHOLE + WHOLE[:-1])
    for expected in (WHOLE, other, WHOLE):
        assert requests.find_request()
        assert requests.pass_request() == expected
        requests.end_request()
    assert not requests.find_request()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"x" * HEADER_BYTES, 431),
        (POST + b"Content-Length: %d\r\n\r\n" % (BODY_BYTES + 1), 413),
        (CHUNKED.replace(b"chunked", b"gzip"), 501),
        (CHUNKED.replace(b"chunked", b"chunked\r\nContent-Length: 3"), 400),
    ],
)
def test_a_head_over_the_limits_is_refused(requests: RequestGatherer, request_bytes: bytes, status: int) -> None:
    requests.add(request_bytes)
    with pytest.raises(Refused) as refused:
        requests.find_request()
    assert refused.value.status == status


def test_a_chunked_request_is_passed_on_when_its_head_has_arrived(requests: RequestGatherer) -> None:
    requests.add(CHUNKED + b"3\r\nabc")
    assert requests.find_request()
    assert (requests.is_arriving, requests.pass_request(), requests.pass_chunks()) == (True, CHUNKED, b"3\r\nabc")
    requests.count_body(3)
    requests.check_chunks(is_complete=False)
    assert (requests.is_arriving, requests.held_bytes) == (True, len(CHUNKED) + 3)
    requests.add(b"\r\n0\r\n\r\n" + WHOLE)
    assert requests.pass_chunks().endswith(WHOLE)
    requests.check_chunks(is_complete=True)
    assert not requests.is_arriving
    requests.end_request()
    requests.put_back(WHOLE)
    assert requests.find_request()
    assert requests.pass_request() == WHOLE


def test_a_chunked_body_over_a_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_gatherer, "BODY_BYTES", 10)
    monkeypatch.setattr(request_gatherer, "CHUNKED_BYTES", 20)
    for body_bytes, framed_bytes, is_complete, is_refused in (
        (10, 20, False, False),
        (11, 20, True, True),
        (10, 21, False, True),
        (10, 99, True, False),  # what is behind the body's end counts for the next request
    ):
        requests = RequestGatherer()
        requests.add(CHUNKED)
        assert requests.find_request()
        requests.pass_request()
        requests.add(b"x" * framed_bytes)
        requests.pass_chunks()
        requests.count_body(body_bytes)
        if is_refused:
            with pytest.raises(Refused):
                requests.check_chunks(is_complete=is_complete)
        else:
            requests.check_chunks(is_complete=is_complete)


def test_continue_is_owed_only_while_the_body_is_missing(requests: RequestGatherer) -> None:
    head = POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    requests.add(head)
    assert (requests.find_request(), requests.owes_continue) == (False, True)
    complete = RequestGatherer()
    complete.add(head + b"a")
    assert (complete.find_request(), complete.owes_continue) == (False, False)
