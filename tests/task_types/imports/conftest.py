"""Fixtures of the imports' tests, and the chunks of an import without a worker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.db import transaction

from tasks_app.task_types import Chunk, ChunkResult
from tasks_app.task_types.imports import Import, open_import
from tests.support.stored_files import folder, store  # noqa: F401 (fixtures)


@pytest.fixture(autouse=True)
def _closed_file() -> Iterator[None]:
    yield
    open_import.hold(None, None)


def run_chunk(task_type: Import, chunk: Chunk) -> ChunkResult:
    """Run one chunk as the engine does."""
    prepared = task_type.prepare_chunks([chunk])
    with transaction.atomic():
        [result] = task_type.run_chunks([chunk], prepared)
    return result


def run_all(
    task_type: Import,
    params: Mapping[str, Any],
    *,
    limit: int,
    state: Mapping[str, Any] | None = None,
    start: int = 0,
    is_dry_run: bool = False,
) -> list[ChunkResult]:
    """Run chunks until the last one."""
    task_id, results = uuid.uuid4(), []
    state = state or {}
    while True:
        work = Chunk(task_id, params, start=start, limit=limit, total=None, state=state, is_dry_run=is_dry_run)
        result = run_chunk(task_type, work)
        results.append(result)
        start, state = start + result.done, result.state
        if result.finished:
            return results
