"""The backends of the framework's own tests: LongtasksBackend, with what those tests call on top of the interface."""

from __future__ import annotations

from typing import Any

from tasks_app.django_tasks.backend import LongtasksBackend
from tasks_app.django_tasks.compat import TaskResult


class WaitingBackend(LongtasksBackend):
    """In the place of DummyBackend, whose tests look at the results that wait in a list."""

    results: list[TaskResult] = []

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        result = super().enqueue(task, args, kwargs)
        self.results.append(result)
        return result

    def clear(self) -> None:
        self.results.clear()


class InlineBackend(LongtasksBackend):
    """In the place of ImmediateBackend: a worker in this process runs the task before `enqueue` returns."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        from tests.support.engine import Worker

        result = super().enqueue(task, args, kwargs)
        Worker().run()
        return self.get_result(result.id)
