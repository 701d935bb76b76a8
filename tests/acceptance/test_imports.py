"""Imports on real worker processes that are killed: each record of the file is written exactly once, whatever the format.

`python -m tests.chaos.imports` does the same with a million lines.
"""

from __future__ import annotations

import pytest

from tests.chaos.imports import FORMATS, find_faults, start_import, write_file
from tests.conftest import MakeStack

pytestmark = pytest.mark.slow
RECORDS = 4_000
ENVIRONMENT = {
    "LEASE_SECONDS": "1",
    "RESCUE_SECONDS": "0.2",
    "RETRY_ATTEMPTS": "50",
    "RETRY_FIRST_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "0.5",
    "CHUNK_SECONDS": "0.02",
}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("point", ["before_chunk_commit", "after_chunk_commit"])
@pytest.mark.parametrize("shard_records", [0])
def test_workers_that_die_before_and_after_a_commit(
    make_stack: MakeStack, format_: str, point: str, shard_records: int
) -> None:
    environment = {**ENVIRONMENT, "CRASH_POINTS": f"{point}=3", "SHARD_RECORDS": str(shard_records)}
    stack = make_stack(workers=2, environment=environment)
    path = stack.directory / f"products.{format_}"
    write_file(path, records=RECORDS)
    task = stack.wait_for_end(start_import(stack, path), deadline_seconds=240)
    assert find_faults(stack, task, records=RECORDS) == []
