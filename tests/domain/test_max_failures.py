"""tasks_app/domain/max_failures.py: which bounds are accepted, and when each is exceeded."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks_app.domain.max_failures import MOST, SHARE_FROM, get_excess, read_max_failures, show_max_failures


@pytest.mark.parametrize("value", [0, 1, 17, MOST, "0.5%", "5%", "0.0001%", "99.9999%", "100%", "100.0%"])
def test_a_bound_is_shown_as_it_was_given(value: int | str) -> None:
    assert show_max_failures(read_max_failures(value)) == value


@pytest.mark.parametrize(
    "value",
    [-1, MOST + 1, True, None, 1.5, "", "5", "0%", "0.0%", "100.1%", "101%", "1e1%", "-1%", "5 %", "5%\n", "٥%", "5.%",
     ".5%", "0.00001%", "5" * 100 + "%", [], {}],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_accepted(value: object) -> None:
    with pytest.raises(ValueError, match="accepted: an integer from 0 to"):
        read_max_failures(value)


@given(most=st.integers(1, MOST), failed=st.integers(0, 2 * MOST), done=st.integers(0, 10**9))
def test_a_number_is_exceeded_by_one_more(most: int, failed: int, done: int) -> None:
    assert bool(get_excess(read_max_failures(most), failed=failed, done=done, total=None, is_end=False)) == (
        failed > most
    )


@given(
    share=st.integers(1, 10**6),
    failed=st.integers(0, MOST),
    done=st.integers(1, 10**9),
    total=st.one_of(st.none(), st.integers(0, 10**9)),
    is_end=st.booleans(),
)
def test_a_share_is_exceeded_exactly(share: int, failed: int, done: int, total: int | None, is_end: bool) -> None:
    text = f"{share // 10_000}.{share % 10_000:04}%"
    is_judged = is_end or total is not None or done >= SHARE_FROM
    records = done if is_end or total is None else max(done, total)
    expected = is_judged and Fraction(failed, records) > Fraction(share, 10**6)
    assert bool(get_excess(read_max_failures(text), failed=failed, done=done, total=total, is_end=is_end)) == expected


@pytest.mark.parametrize("text", ["", "x", "5 %", "9" * 40, "1" * 5000 + "%"])
def test_a_text_that_is_no_bound_allows_none(text: str) -> None:
    assert get_excess(text, failed=1, done=10, total=10, is_end=False)
    assert not get_excess(text, failed=0, done=10, total=10, is_end=True)
