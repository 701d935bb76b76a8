"""gunicorn's private and undocumented parts are where the web workers and the configuration expect them."""

import ast
import inspect
from typing import Any, Final

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.gthread import PollableMethodQueue, TConn, ThreadWorker

from longtasks import gunicorn, gunicorn_internals
from settings.env import ROOT
from tests.support.library_reaches import list_private_names

CLASSES: Final = [ast.parse((ROOT / path).read_text()) for path in gunicorn_internals.WEB_WORKER_FILES]


def list_arguments(method: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(method).parameters)[1:]


def list_defined_methods(suffix: str) -> set[str]:
    """Return the methods that our classes define, of those whose name ends so."""
    return {
        method.name
        for tree in CLASSES
        for each in tree.body
        if isinstance(each, ast.ClassDef) and each.name.endswith(suffix)
        for method in each.body
        if isinstance(method, ast.FunctionDef)
    }


@pytest.mark.parametrize(
    ("theirs", "suffix", "listed"),
    [
        (ThreadWorker, "Worker", gunicorn_internals.OVERRIDDEN_BY_WORKERS),
        (TConn, "Connection", gunicorn_internals.OVERRIDDEN_BY_CONNECTIONS),
    ],
)
def test_the_methods_that_are_overridden_are_listed_and_take_the_same_arguments(
    theirs: type, suffix: str, listed: dict[str, tuple[str, ...]]
) -> None:
    overridden = {name for name in list_defined_methods(suffix) if hasattr(theirs, name)} - {"__init__"}
    assert overridden == listed.keys()
    assert {name: list_arguments(getattr(theirs, name)) for name in listed} == listed


def test_what_is_read_exists() -> None:
    source = inspect.getsource(inspect.getmodule(ThreadWorker)) + inspect.getsource(ThreadWorker.__mro__[1])  # type: ignore[arg-type]
    for name in gunicorn_internals.READ_OF_WORKER:
        assert hasattr(ThreadWorker, name) or f"self.{name} = " in source, name
    for name in gunicorn_internals.READ_OF_METHOD_QUEUE:
        assert hasattr(PollableMethodQueue, name), name
    for name in gunicorn_internals.READ_OF_CONNECTION:
        assert hasattr(TConn, name) or f"self.{name} = " in inspect.getsource(TConn), name
    assert list_arguments(PollableMethodQueue.defer)[0] == "callback"
    assert list_arguments(TConn.__init__) == ("cfg", "sock", "client", "server")
    assert list_arguments(ThreadWorker.handle) == ("conn",)


def test_what_is_read_is_listed() -> None:
    read = {
        node.attr
        for tree in CLASSES
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self" and isinstance(node.ctx, ast.Load)
    }
    ours = set().union(*map(list_defined_methods, ("Worker", "Connection")))
    inherited = {name for name in dir(ThreadWorker) if name in read} - ours
    inherited |= {name for name in read if f"self.{name} = " in inspect.getsource(ThreadWorker)}
    listed = {*gunicorn_internals.READ_OF_WORKER, *gunicorn_internals.READ_OF_CONNECTION}
    assert inherited - listed - gunicorn_internals.OVERRIDDEN_BY_WORKERS.keys() == set()


def test_our_own_private_names_are_not_gunicorns() -> None:
    theirs = list_private_names("gunicorn.workers.gthread.ThreadWorker") | list_private_names(
        "gunicorn.workers.gthread.TConn"
    )
    ours = {name for suffix in ("Worker", "Connection") for name in list_defined_methods(suffix)}
    assert ours & theirs.keys() <= set(gunicorn_internals.WEB_WORKER_PRIVATE_NAMES)


def test_a_request_can_be_told_that_100_was_sent() -> None:
    assert Request._expected_100_continue is False
    from gunicorn.http import wsgi

    assert "if req._expected_100_continue:" in inspect.getsource(wsgi.create)


def test_a_parser_reads_what_was_unread() -> None:
    unreader = IterUnreader([b"later"])
    unreader.unread(b"first ")
    assert unreader.read(6) == b"first "
    assert unreader.read(5) == b"later"


def test_a_setting_is_read_from_the_instance_if_it_has_it() -> None:
    config = Config()
    assert config.settings["threads"].get() == config.threads
    config.__dict__["threads"] = 77
    assert config.threads == 77


def test_the_arbiter_calls_what_the_configuration_replaces() -> None:
    for name in gunicorn_internals.READ_OF_ARBITER:
        assert hasattr(Arbiter, name), name
    assert list_arguments(Arbiter.manage_workers) == ()
    source = inspect.getsource(Arbiter.reload)
    assert (
        source.index("cfg.on_reload(self)")
        < source.index("self.spawn_worker()")
        < source.index("self.manage_workers()")
    )


def test_gunicorn_logs_how_a_process_ended_in_these_words() -> None:
    source = inspect.getsource(Arbiter)
    assert [message for message in gunicorn_internals.EXIT_MESSAGES if f'"{message}"' not in source] == []
    assert all(map(gunicorn.EXIT_MESSAGE.match, gunicorn_internals.EXIT_MESSAGES))
