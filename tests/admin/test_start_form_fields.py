"""The start form's inputs of the catalog's task types: times are texts, and a choice that nobody has made stays open."""

import pytest

from tasks_app.admin.start_form import StartForm
from tasks_app.task_types import get_task_type


@pytest.mark.parametrize("name", ["format", "encoding", "delimiter"])
def test_an_optional_choice_without_a_default_is_empty_at_first(name: str) -> None:
    field = StartForm(get_task_type("import_products")).fields[f"params-{name}"]
    assert field.choices[0] == ("", "–")  # type: ignore[attr-defined]


def test_a_time_is_entered_as_text() -> None:
    form = StartForm(
        get_task_type("prune_order_items"),
        {"priority": "low", "max_failures": "5", "params-orderedBefore": "2020-01-02T03:04:05Z"},
    )
    assert form.is_valid(), form.errors
    assert form.cleaned_data["params"] == {"orderedBefore": "2020-01-02T03:04:05Z"}
    assert form.cleaned_data["max_failures"] == "5"


def test_a_text_that_is_not_a_time_is_reported_at_its_field() -> None:
    form = StartForm(get_task_type("prune_order_items"), {"priority": "low", "params-orderedBefore": "yesterday"})
    assert not form.is_valid()
    assert list(form.errors) == ["params-orderedBefore"]
