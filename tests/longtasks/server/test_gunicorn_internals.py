"""What web's worker uses of gunicorn's private parts: fails when gunicorn changes them."""

import hashlib
import inspect
from typing import Any

import pytest
from gunicorn.asgi import protocol
from gunicorn.asgi.protocol import ASGIProtocol, BodyReceiver
from gunicorn.workers.gasgi import ASGIWorker

from longtasks.server.gunicorn_internals import GunicornProtocol, GunicornWorker
from tests.longtasks.server.client import Client, run

# What GunicornProtocol and GunicornWorker rely on, by digest of its source. If one has changed, read it, then adapt both.
READ = {
    ASGIProtocol._handle_connection: "0a700ee84ffa1c0a",
    ASGIProtocol._feed_callback_parser: "44b3473e45b2068f",
    ASGIProtocol._on_headers_complete: "1222ff09893e8d5d",
    ASGIProtocol.connection_made: "036fff68093115e2",
    ASGIProtocol.connection_lost: "e3970b7c898c5cdb",
    ASGIProtocol._serve_http_request: "7137d7997b89467a",
    ASGIProtocol._close_transport: "02b41fa85b3454aa",
    ASGIProtocol._setup_callback_parser: "36b1e12fce26a803",
    ASGIProtocol._check_h1c_protocol_available: "49c775c456d73bb3",
    BodyReceiver.receive: "11c3b55570a76b02",
    ASGIWorker._serve: "df822fcee5372e2b",
    ASGIWorker._shutdown: "dd29356808cc729a",
    ASGIWorker.init_signals: "c21527dce495da3b",
    ASGIWorker.run: "f7952bdda7bdeab6",
}


@pytest.mark.parametrize("function", READ, ids=lambda function: function.__qualname__)
def test_gunicorn_is_as_we_know_it(function: Any) -> None:
    digest = hashlib.blake2b(inspect.getsource(function).encode(), digest_size=8).hexdigest()
    assert digest == READ[function], (
        f"{function.__qualname__} has changed: adapt longtasks/server/gunicorn_internals.py"
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "overridden"),
    [
        (
            GunicornProtocol,
            ASGIProtocol,
            {
                *("_feed_callback_parser", "_on_body", "_serve_http_request", "_arm_keepalive_timer"),
                "_maybe_resume_reading",
                *(
                    "_check_h1c_protocol_available",
                    "_cancel_keepalive_timer",
                    "_is_websocket_upgrade",
                    "_send_error_response",
                    "_close_transport",
                ),
            },
        ),
        (GunicornWorker, ASGIWorker, {"_serve"}),
    ],
)
def test_what_we_override_is_there_and_nothing_else_has_its_name(
    ours: type, theirs: type, overridden: set[str]
) -> None:
    assert {name for name in vars(ours) if not name.startswith("__") and hasattr(theirs, name)} == overridden
    for name in overridden:
        assert inspect.signature(getattr(ours, name)).parameters.keys() == (
            inspect.signature(getattr(theirs, name)).parameters.keys()
        ), name


def test_the_parts_of_the_body_s_receiver_are_there() -> None:
    assert {"_body_finished", "expect_continue"} <= set(BodyReceiver.__slots__)
    assert protocol.HIGH_WATER_LIMIT == 64 * 1024


def test_the_c_parser_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = pytest.importorskip("gunicorn_h1c").H1CProtocol

    async def check(client: Client) -> None:
        assert type(client.protocol._callback_parser) is parser

    # gunicorn notes on the subclass that the parser is there, and looks for it on its own class.
    for name, value in (("_h1c_available", None), ("_h1c_has_limits", False), ("_h1c_protocol_class", None)):
        monkeypatch.setattr(ASGIProtocol, name, value)
    run(check)
    run(check, parser="fast")
