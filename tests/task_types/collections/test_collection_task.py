"""What a class of a collection declares, and which results and states are refused."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tasks_app.task_types import Chunk, HopelessError
from tasks_app.task_types.collections import Backfill, Run
from tests.task_types.collections.models import Number


class Visit(Backfill):
    def collection(self, params: Any) -> Any:
        return Number.objects.all()

    def process(self, rows: list[Any], run: Run) -> Any:
        return None


def test_counts_of_another_type_are_refused() -> None:
    class Lists(Visit):
        def process(self, rows: list[Any], run: Run) -> Any:
            return [1]

    with pytest.raises(TypeError, match="return counts by name"):
        Lists().process_page([Number()], Run(uuid.uuid4(), {}, "", "write", lambda: False))


def test_the_name_and_the_description_come_from_the_class() -> None:
    class PruneAPILogs(Backfill):
        """Deletes logs.

        More words.
        """

    class Named(PruneAPILogs):
        name, description = "other", "Mine."

    assert (PruneAPILogs.name, PruneAPILogs.description) == ("prune_api_logs", "Deletes logs.")
    assert (Named.name, Named.description) == ("other", "Mine.")
    with pytest.raises(TypeError, match="use a tuple"):
        type("Odd", (Backfill,), {"cursor_fields": "id"})


def test_a_state_of_another_class_is_hopeless() -> None:
    with pytest.raises(HopelessError, match="needs a new name"):
        Visit().run_chunk(Chunk(uuid.uuid4(), {}, 0, 10, None, {"cursor": 4}))
    with pytest.raises(HopelessError, match="have changed since"):
        Visit().run_chunk(Chunk(uuid.uuid4(), {}, 0, 10, None, {"after": [1, 2], "upTo": [5]}))
