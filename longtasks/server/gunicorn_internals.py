"""The private parts of gunicorn's `asgi` worker that ours uses, each under a public name.

Owns: every use of those parts, and nothing else; tests/longtasks/server/test_gunicorn_internals.py fails when gunicorn
changes one of them. Must not: decide anything. `Connection` and `AsgiWorker` do.
"""

from __future__ import annotations

from typing import Any

from gunicorn.asgi.lifespan import LifespanManager
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker


class GunicornProtocol(ASGIProtocol):  # type: ignore[misc]
    """gunicorn's protocol: it parses what is passed to `parse`, runs the application, and calls the hooks below."""

    # Hooks

    def on_body(self, size: int) -> None:
        """The parser has found bytes of a body."""
        raise NotImplementedError

    def on_body_taken(self) -> None:
        """The application has received bytes of the body."""
        raise NotImplementedError

    def on_excess(self, data: bytes) -> None:
        """The parser was passed bytes that belong to the next request. Called before `on_idle`."""
        raise NotImplementedError

    def on_answered(self) -> bool:
        """The application has returned. Return whether the connection may be kept."""
        raise NotImplementedError

    def on_idle(self) -> None:
        """The connection waits for its next request."""
        raise NotImplementedError

    def on_malformed(self, status: int, message: str) -> None:
        """The parser refuses the request, or the application has failed: answer. gunicorn closes the connection then."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection, and call `mark_closed`."""
        raise NotImplementedError

    # What ours may call

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, or being closed."""
        return bool(self._closed)

    @property
    def is_reading_paused(self) -> bool:
        return bool(self._reading_paused)

    @property
    def is_parsed(self) -> bool:
        """Whether the parser has reached the request's end."""
        return bool(self._callback_parser.is_complete)

    @property
    def unread_bytes(self) -> int:
        """How many bytes of the current request's body the application has not received."""
        return 0 if self._body_receiver is None else int(self._body_receiver.buffered)

    @property
    def keepalive_seconds(self) -> float:
        return float(self._keepalive)

    def parse(self, data: bytes) -> bool:
        """Pass bytes of the current request to the parser. Return False if it has refused them."""
        return bool(super()._feed_callback_parser(data))

    def write(self, data: bytes) -> None:
        """Write outside of a response. A broken connection is ignored."""
        self._safe_write(data)

    def pause_reading(self) -> None:
        self._pause_reading()

    def resume_reading(self) -> None:
        self._resume_reading()

    def forget_continue(self) -> None:
        """Keep gunicorn from sending `100 Continue` for the current request."""
        if self._body_receiver is not None:
            self._body_receiver.expect_continue = False

    def has_read_body(self) -> bool:
        """Return whether the application has received the whole body of the current request."""
        return self._body_receiver is None or bool(self._body_receiver._body_finished)

    def notify_disconnect(self) -> None:
        """Let the application receive `http.disconnect`."""
        if self._body_receiver is not None:
            self._body_receiver.signal_disconnect()

    def mark_closed(self) -> None:
        """Let gunicorn's loop and the application see that the connection is closed."""
        self._closed = True
        self.notify_disconnect()
        if self._request_ready is not None:
            self._request_ready.set()

    # What gunicorn calls

    @classmethod
    def _check_h1c_protocol_available(cls) -> bool:
        """Look for the C parser on behalf of gunicorn's class: it notes the result on `cls`, and reads it from its own."""
        return bool(ASGIProtocol._check_h1c_protocol_available())

    def _feed_callback_parser(self, data: bytes) -> bool:
        self.on_excess(data)
        return True

    def _on_body(self, chunk: bytes) -> None:
        super()._on_body(chunk)
        self.on_body(len(chunk))

    def _maybe_resume_reading(self) -> None:
        self.on_body_taken()

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        """Run one request in the connection's own task; gunicorn makes a second task for each."""
        may_keep = await self._handle_http_request(request, sockname, peername)
        return self.on_answered() and bool(may_keep)

    def _arm_keepalive_timer(self) -> None:
        self.on_idle()

    def _cancel_keepalive_timer(self) -> None:
        """There is no timer: `Connection` has deadlines."""

    def _is_websocket_upgrade(self, request: Any) -> bool:
        return False

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        self.on_malformed(status, message)

    def _close_transport(self) -> None:
        self.close()


class GunicornWorker(ASGIWorker):  # type: ignore[misc]
    """gunicorn's worker: it makes the event loop, loads the application, and runs `serve` until it returns."""

    async def serve(self) -> None:
        """Serve until the process is to end, and then end in order."""
        raise NotImplementedError

    @property
    def must_end_at_once(self) -> bool:
        """Whether SIGINT or SIGQUIT has arrived."""
        return bool(self._quick_shutdown)

    async def start_application(self) -> None:
        """Send the application `lifespan.startup`. Raises what it raises."""
        self.lifespan = LifespanManager(self.asgi, self.log, self.state)
        await self.lifespan.startup()

    async def stop_application(self) -> None:
        """Send the application `lifespan.shutdown`."""
        await self.lifespan.shutdown()

    async def _serve(self) -> None:
        await self.serve()
