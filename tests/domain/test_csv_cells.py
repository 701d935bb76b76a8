"""tasks_app/domain/csv_cells.py: no cell is run as a formula, and each can be restored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks_app.domain.csv_cells import neutralise, restore

ODD = st.text(alphabet=st.sampled_from(list("=+-@'\t\r\n0159., %eax")), max_size=12)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "＝1", "-x", "+34 600 x", "=", "-"]
)
def test_a_formula_begins_with_an_apostrophe(cell: str) -> None:
    assert neutralise(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["", "a", "1=1", "-5", "+34 600 123", "-1.5e-3", "-12,50", "+5%", "'a", "O'Neil", " x"]
)
def test_other_cells_and_numbers_stay_as_they_are(cell: str) -> None:
    assert neutralise(cell) == cell


@given(cell=st.one_of(ODD, st.text(max_size=40)))
def test_every_cell_is_restored(cell: str) -> None:
    assert restore(neutralise(cell)) == cell
