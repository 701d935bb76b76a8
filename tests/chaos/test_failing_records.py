"""tests/chaos/failing_records.py at a size that a test run can afford."""

import pytest

from tests.chaos.failing_records import choose_records, make_environment, run
from tests.conftest import MakeStack


@pytest.mark.slow
def test_the_list_has_the_bad_records_and_the_table_all_others_whatever_dies(make_stack: MakeStack) -> None:
    records = choose_records(number=20_000, bad=60, shard_records=5_000)
    environment = make_environment(shard_records=5_000) | {"LEASE_SECONDS": "2"}
    stack = make_stack(workers=2, environment=environment)

    assert run(stack, records, every_seconds=2.0) == []
