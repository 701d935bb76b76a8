"""The ADRs have one form, their table agrees with them, and each decision of the design document has its counterpart."""

import re

import pytest

from tests.docs.decisions import ATTRIBUTES, FOLDER, WrongForm, read_record, read_records, render

GOOD = """# ADR 099: a title

**State:** accepted; with a remark. Answers ADR 001 and ADR 003 of the design document.

**Context.** Why.

**Decision.** What.

**Consequences.** Then.

**Quality attributes.**

- Performance (+): faster.
- Usability (−): harder to
  understand.
- Performance (−): slower elsewhere.
"""


def test_the_table_equals_the_decisions() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert page == render(page, read_records()), "run python -m tests.docs.decisions"


def test_each_decision_of_the_design_document_is_answered_and_each_attribute_served() -> None:
    records = read_records()
    assert {number for record in records for number in record.original} == {"001", "002", "003", "004", "005"}
    served = {name for record in records for name, mark in record.marks.items() if mark in "+±"}
    assert served == set(ATTRIBUTES)


def test_a_superseded_decision_names_an_existing_one() -> None:
    records = read_records()
    numbers = {record.number for record in records}
    for record in records:
        assert set(re.findall(r"ADR (\d{3})", record.state)) <= numbers, record.file


def test_a_decision_is_read_field_by_field() -> None:
    record = read_record(file="0099-a-title.md", text=GOOD)
    assert (record.number, record.title, record.state) == ("099", "a title", "accepted")
    assert record.original == ("001", "003")
    assert record.marks == {"Performance": "±", "Usability": "−"}
    assert "| [099](0099-a-title.md) | a title | accepted | 001, 003 |  | ± |  |  |  |  |  | − |" in render(
        "", [record]
    )


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("# ADR 099", "# ADR 098"),
        ("# ADR 099: a title", "# A title"),
        ("accepted", "perhaps"),
        ("**Context.** Why.\n\n", ""),
        ("**Decision.** What.", "**Decision.**"),
        ("**Context.** Why.\n\n**Decision.** What.", "**Decision.** What.\n\n**Context.** Why."),
        ("Performance (+): faster", "Performance: faster"),
        ("Performance (+): faster", "Speed (+): faster"),
        ("Performance (+): faster", "Performance (++): faster"),
        ("(+): faster.", "(+): faster"),
    ],
)
def test_an_invalid_form_is_refused(right: str, wrong: str) -> None:
    assert right in GOOD
    with pytest.raises(WrongForm, match=r"^0099-a-title\.md: "):
        read_record(file="0099-a-title.md", text=GOOD.replace(right, wrong, 1))
