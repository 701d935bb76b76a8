"""tasks_app/task_types/task_results.py: a result that cannot be stored is refused with its cause; no other is."""

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F
from django.utils.timezone import now
from hypothesis import given
from hypothesis import strategies as st

from tasks_app.domain.plain_json import DEPTH
from tasks_app.models import TaskCheckpoint
from tasks_app.task_types import Chunk, ChunkResult, TaskType
from tasks_app.task_types.task_results import (
    MOST,
    STATE_BYTES,
    InvalidTaskResult,
    check_result,
    check_results,
    check_total,
    check_total_again,
    read_total,
)

NAN = float("nan")


class Declared(TaskType):
    name = "declared"
    count_names = ("users",)


class Free(TaskType):
    name = "free"


def make_chunk(*, start: int = 0, limit: int = 10, total: int | None = 100) -> Chunk:
    return Chunk(task_id=uuid.uuid4(), params={}, start=start, limit=limit, total=total, state={})


def nest(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"x": value}
    return value


class Endless(Mapping[str, int]):
    """Has endless names."""

    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield f"n{number}"
            number += 1

    def __len__(self) -> int:
        return 1


class Fickle(dict[str, int]):
    """Returns another value at each read."""

    looks = 0

    def __getitem__(self, key: str) -> int:
        self.looks += 1
        return self.looks


class Unshowable:
    def __repr__(self) -> str:
        raise SystemExit


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["x"] = value
    return value


def result(done: Any = 1, counts: Any = None, state: Any = None, finished: Any = None) -> ChunkResult:
    return ChunkResult(done, {} if counts is None else counts, {} if state is None else state, finished)


WRONG: list[tuple[Any, str, str]] = [
    (None, "result of run_chunk", "None"),
    ({"done": 1}, "result of run_chunk", "done"),
    (Unshowable(), "result of run_chunk", "Unshowable"),
    *((result(done=value), "done", word) for value, word in (
        (-1, "-1"), (11, "11"), (2**70, "1180591"), (1.0, "1.0"), (NAN, "nan"), (True, "True"), ("1", "'1'"),
        (Decimal(1), "Decimal"), (None, "None"), (2**100_000, "bits"), (Unshowable(), "Unshowable"), (0, "0"),
    )),
    *((result(counts=value), "counts", word) for value, word in (
        ([("x", 1)], "[("), (5, "5"), ({"x": 2**64}, "18446744073709551616"), ({"x": -1}, "-1"), ({"x": 2.0}, "2.0"),
        ({"x": NAN}, "nan"), ({"x": True}, "True"), ({"x": None}, "None"), ({2024: 5}, "2024"), ({"": 1}, "''"),
        ({"a|b": 1}, "a|b"), ({"a\n": 1}, r"a\n"), ({"a" * 65: 1}, "aaa"), ({"\udce9": 1}, r"\udce9"),
        ({f"n{n}": 1 for n in range(33)}, "n32"), (Endless(), "n32"),
    )),
    *((result(state=value), "state", word) for value, word in (
        ([], "[]"), ("x", "'x'"), ({"at": datetime(2024, 1, 1, tzinfo=UTC)}, "datetime"), ({"x": b"y"}, "b'y'"),
        ({"x": Decimal(1)}, "Decimal"), ({"x": uuid.uuid4()}, "UUID"), ({"x": [1, {"y": NAN}]}, "nan"),
        ({"x": float("inf")}, "inf"), ({"x": "caf\udce9"}, r"\udce9"), ({"\udce9": 1}, r"\udce9"), ({1: 2}, "1"),
        ({"x": 2**64}, "1844"), ({"x": -(2**63) - 1}, "-9223"), ({"x": {1, 2}}, "{1, 2}"), ({"x": "y" * STATE_BYTES}, "y"),
        ({"x": ["é" * 1000] * 40}, "é"), ({"x": [0] * STATE_BYTES}, "0"), (nest(DEPTH + 1), "{}"), (cyclic(), "..."),
        (Endless(), "bytes"), ({"x": Unshowable()}, "Unshowable"), ({"y" * 70_000: 1}, "yyy"),
    )),
    *((result(finished=value), "finished", word) for value, word in ((1, "1"), ("yes", "yes"), (0, "0"))),
]  # fmt: skip


@pytest.mark.parametrize(("returned", "field", "word"), WRONG)
def test_an_invalid_result_is_refused_with_type_field_and_value(returned: Any, field: str, word: str) -> None:
    with pytest.raises(InvalidTaskResult) as refused:
        check_result(returned, task_type=Free(), chunk=make_chunk())
    words = str(refused.value)
    assert "'free'" in words
    assert field in words
    assert word in words
    assert "accepted: " in words
    assert len(words) < 1_000
    assert words.encode().decode() == words


def test_only_declared_counts_are_accepted() -> None:
    with pytest.raises(InvalidTaskResult, match="'rows'; accepted: one of count_names: users"):
        check_result(result(counts={"rows": 1}), task_type=Declared(), chunk=make_chunk())
    assert check_result(result(counts={"users": 1}), task_type=Declared(), chunk=make_chunk())[0].counts == {"users": 1}


def test_counts_are_bounded_in_sum() -> None:
    committed = {"users": MOST - 5}
    check_result(result(counts={"users": 5}), task_type=Declared(), chunk=make_chunk(), committed=committed)
    with pytest.raises(InvalidTaskResult, match="at most 5"):
        check_result(result(counts={"users": 6}), task_type=Declared(), chunk=make_chunk(), committed=committed)
    many = {f"n{n}": 1 for n in range(32)}
    with pytest.raises(InvalidTaskResult, match="at most 32 names"):
        check_result(result(counts={"other": 1}), task_type=Free(), chunk=make_chunk(), committed=many)


def test_the_checked_values_are_the_written_values() -> None:
    fickle = Fickle(x=1)
    checked, _ = check_result(result(counts=fickle, state=Fickle(x=1)), task_type=Free(), chunk=make_chunk())
    assert type(checked.counts) is type(checked.state) is dict
    assert checked.counts == {"x": 1}
    assert fickle.looks == 1


@pytest.mark.parametrize(
    ("returned", "chunk", "last"),
    [
        (result(done=10), make_chunk(), False),
        (result(done=10), make_chunk(start=90), True),
        (result(done=3, finished=True), make_chunk(), True),
        (result(done=0, finished=False), make_chunk(), False),
        (result(done=0), make_chunk(limit=0, total=0), True),
        (result(done=0, finished=True), make_chunk(total=None), True),
        (result(done=1, finished=False), make_chunk(total=None), False),
    ],
)
def test_whether_a_chunk_was_the_last_one(returned: ChunkResult, chunk: Chunk, last: bool) -> None:
    assert check_result(returned, task_type=Free(), chunk=chunk) == (returned, last)


def test_a_type_without_a_total_must_set_finished() -> None:
    with pytest.raises(InvalidTaskResult, match="finished is None; accepted: True or False"):
        check_result(result(), task_type=Free(), chunk=make_chunk(total=None))


@pytest.mark.parametrize(
    "returned", [None, [], [result()] * 3, (one for one in [result()] * 2), {"a": 1}, result(), "ab", [None, None]]
)
def test_there_is_one_result_for_each_chunk(returned: Any) -> None:
    with pytest.raises(InvalidTaskResult, match=r"'free': the (result|number)"):
        check_results(returned, task_type=Free(), chunks=[make_chunk()] * 2)
    assert len(check_results([result()] * 2, task_type=Free(), chunks=[make_chunk()] * 2)) == 2


@pytest.mark.parametrize("value", [-1, 2**63, 2**70, 1.0, NAN, "5", True, Decimal(5), Unshowable(), [5]])
def test_an_invalid_total_stops_no_start_and_is_named_to_the_worker(value: Any) -> None:
    class Odd(TaskType):
        name = "odd_total"

        def total(self, params: Mapping[str, Any]) -> Any:
            return value

    assert read_total(Odd(), {}) is None
    for check in (lambda: check_total(value, task_type=Odd()), lambda: check_total_again(Odd(), {})):
        with pytest.raises(
            InvalidTaskResult, match=r"task type 'odd_total': total\(\) is .*; accepted: None, or an int"
        ):
            check()


@pytest.mark.parametrize("error", [ZeroDivisionError("caf\udce9"), SystemExit(0), KeyboardInterrupt()])
def test_a_total_that_raises_is_unknown_at_the_start_and_named_to_the_worker(error: BaseException) -> None:
    class Raising(TaskType):
        name = "raising_total"

        def total(self, params: Mapping[str, Any]) -> Any:
            raise error

    assert read_total(Raising(), {}) is None
    with pytest.raises(InvalidTaskResult, match=rf"'raising_total': total\(\) raised {type(error).__name__}") as raised:
        check_total_again(Raising(), {})
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("value", [None, 0, 5, MOST])
def test_a_valid_total_is_returned(value: int | None) -> None:
    assert check_total(value, task_type=Free()) == value


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary()
    | st.decimals() | st.uuids() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_any_value_is_stored_unchanged_or_refused_with_its_cause(
    done: Any, counts: Any, state: Any, finished: Any
) -> None:
    for returned in (result(done=done), result(counts=counts), result(state=state), result(finished=finished)):
        try:
            checked, last = check_result(returned, task_type=Free(), chunk=make_chunk())
        except InvalidTaskResult as refused:
            words = str(refused).encode().decode()
            assert words.startswith("task type 'free': ")
        else:
            assert type(last) is bool
            assert type(checked.done) is int
            for value in (checked.counts, checked.state):
                assert json.loads(json.dumps(value, allow_nan=False)) == value
            assert checked.state == returned.state


@pytest.mark.django_db
@pytest.mark.parametrize(
    "state",
    [
        nest(DEPTH),
        {"x": "\0 é 🎉 \u2028 \\ \" '"},
        {"x": [2**64 - 1, -(2**63), 1e308, 5e-324, -0.0, 0.1]},
        {"x": "y" * (STATE_BYTES - 10)},
    ],
)
def test_accepted_results_can_be_stored(state: dict[str, Any]) -> None:
    counts = {"a" * 64: MOST, "é 🎉 %s \\ ' \"": 0}
    checked, _ = check_result(result(state=state, counts=counts), task_type=Free(), chunk=make_chunk())
    task_id = uuid.uuid4()
    TaskCheckpoint.objects.create(task_id=task_id, updated_at=now())
    TaskCheckpoint.objects.filter(task_id=task_id).update(
        done=F("done") + MOST, counts=checked.counts, state=checked.state
    )
    row = TaskCheckpoint.objects.get(task_id=task_id)
    assert (row.done, row.counts, row.state) == (MOST, counts, state)
