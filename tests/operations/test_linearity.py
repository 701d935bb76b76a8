"""Every function that receives text from outside takes time at most linear in its length."""

import pytest

from tests.linearity import LARGEST_GROWTH, LENGTHS, Case, Row, find_patterns, measure, repeat
from tests.linearity_cases import make_cases

CASES = [pytest.param(case, kind, id=f"{case.name}-{kind}") for case in make_cases() for kind in case.makes]


@pytest.mark.parametrize(("case", "kind"), CASES)
def test_time_grows_no_faster_than_the_length(case: Case, kind: str) -> None:
    rows: list[Row] = []
    for _ in range(3):  # another process may disturb a measurement
        rows.append(measure(case, kind))
        print(rows[-1])
        if rows[-1].is_linear:
            return
    pytest.fail(f"four times the text takes more than {LARGEST_GROWTH:g} times as long:\n" + "\n".join(map(str, rows)))


def test_each_regular_expression_of_the_product_is_in_a_case() -> None:
    covered = {pattern for case in make_cases() for pattern in case.covers}
    found = find_patterns()
    assert found - covered == set(), "add a case to tests/linearity_cases/"
    assert covered - found == set(), "no longer in the product"


def test_quadratic_time_is_detected() -> None:
    def count_each(text: str) -> int:
        return sum(text.count("y", start) for start in range(0, len(text), 4))

    row = measure(Case("quadratic", count_each, {"x": repeat("x")}), "x")
    assert not row.is_linear
    assert len(row.seconds) < len(LENGTHS)  # it ends before it would take minutes
