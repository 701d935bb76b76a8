"""Fake rows are a pure function of (task, position), in any process."""

import uuid
from collections.abc import Callable

from catalog.fake_data import Rows, draw_pools, make_rows

TASK_ID = uuid.UUID("01890000-0000-7000-8000-00000000002a")


def make(start: int, stop: int, *, task_id: uuid.UUID = TASK_ID, first_id: int = 5000) -> Rows:
    return make_rows(task_id=task_id, first_id=first_id, start=start, stop=stop, pools=draw_pools(), task_value=task_id)


def test_any_process_makes_the_same_rows(run_python: Callable[..., str]) -> None:
    code = (
        "import uuid; from catalog.fake_data import draw_pools, make_rows; "
        f"task_id = uuid.UUID('{TASK_ID}'); "
        "print(make_rows(task_id=task_id, first_id=5000, start=7, stop=207, pools=draw_pools(), task_value=task_id))"
    )

    printed = {run_python(code, PYTHONHASHSEED=seed).strip() for seed in ("1", "2")}

    assert printed == {repr(make(7, 207))}


def test_a_slice_does_not_depend_on_where_it_is_cut() -> None:
    whole, head, tail = make(0, 1000), make(0, 333), make(333, 1000)

    assert whole == Rows(*(first + second for first, second in zip(head, tail, strict=True)))


def test_ids_and_positions_are_consecutive_and_the_order_refers_to_its_own_record() -> None:
    rows = make(10, 20, first_id=100)

    for table in rows:
        assert [(row[0], row[1], row[2]) for row in table] == [(100 + n, TASK_ID, n) for n in range(10, 20)]
    assert [(row[3], row[4]) for row in rows.order_items] == [(100 + n, 100 + n) for n in range(10, 20)]


def test_the_total_is_price_times_quantity_of_the_record_s_own_product() -> None:
    rows = make(0, 2000)

    for product, item in zip(rows.products, rows.order_items, strict=True):
        quantity, unit_price, total = item[5:8]
        assert unit_price == product[6]
        assert total == unit_price * quantity
        assert total.as_tuple().exponent == -2
    assert {item[5] for item in rows.order_items} == {1, 2, 3, 4}


def test_values_vary_and_e_mails_and_skus_do_not_repeat() -> None:
    rows, others = make(0, 5000), make(0, 5000, task_id=uuid.UUID(int=7))

    assert len({row[5] for row in rows.users + others.users}) == 10_000
    assert len({row[3] for row in rows.products + others.products}) == 10_000
    assert len({row[3] for row in rows.users}) > 200
    assert len({row[3:5] for row in rows.users}) > 4500
    assert all(row[5].isascii() and " " not in row[5] for row in rows.users)
    assert not all(row[4].isascii() for row in rows.users)  # otherwise no test covers UTF-8
