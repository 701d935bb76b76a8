"""The task type `normalise_user_phones` writes each number that can be read in the form of E.164, and counts the others."""

import pytest

from catalog.models import User
from catalog.task_types.normalise_user_phones import to_e164
from tasks_app.domain.callers import ANONYMOUS, COMMAND_LINE, Caller
from tasks_app.services import start_tasks
from tasks_app.task_types import NotAllowed, get_task_type
from tests.catalog.conftest import read_rows, upload
from tests.support.engine import Worker, _database, checkpoint, record  # noqa: F401 (fixture)


@pytest.mark.parametrize(
    ("phone", "country_code", "expected"),
    [
        ("(555)123-4567", 1, "+15551234567"),
        ("555.123.4567", 1, "+15551234567"),
        ("1-555-123-4567", 1, "+15551234567"),
        ("001-555-123-4567", 1, "+15551234567"),
        ("+1 555 010 0001", 49, "+15550100001"),
        ("+15551234567", 1, "+15551234567"),
        ("030 1234567", 49, "+49301234567"),
        ("555-123-4567x89", 1, None),
        ("call me", 1, None),
        ("", 1, None),
        ("123", 1, None),
        ("1" * 32, 1, None),
        ("٠٣٠١٢٣٤٥٦٧", 49, None),
    ],
)
def test_a_number_that_can_be_read_is_written_as_e164(phone: str, country_code: int, expected: str | None) -> None:
    number = to_e164(phone, country_code=country_code)
    assert number == expected
    if number is not None:
        assert to_e164(number, country_code=7) == number


def test_every_user_is_counted_once_and_only_the_phone_changes() -> None:
    task = upload(records=300)
    before = read_rows(task)["users"]
    task_id = start_tasks.start_task(
        task=start_tasks.NewTask(name="normalise_user_phones", params={"countryCode": 1}), caller=COMMAND_LINE
    ).snapshot.id
    Worker().run()

    seen = record(task_id)
    assert (seen.status, seen.done, seen.total) == ("finished", 300, 300)
    assert sum(seen.counts.values()) == 300
    names = [field.attname for field in User._meta.concrete_fields]
    place = names.index("phone")
    for old, new in zip(before, read_rows(task)["users"], strict=True):
        assert new[place] == (to_e164(old[place], country_code=1) or old[place])
        assert old[:place] + old[place + 1 :] == new[:place] + new[place + 1 :]
    assert seen.counts["normalised"] > 0
    assert checkpoint(task_id).failures == 0


@pytest.mark.parametrize("caller", [ANONYMOUS, Caller("ada", "write"), Caller("ada", "read")])
@pytest.mark.parametrize("name", ["normalise_user_phones", "prune_order_items"])
def test_only_an_admin_may_change_the_rows_of_all_owners(name: str, caller: Caller) -> None:
    with pytest.raises(NotAllowed, match="Only an admin"):
        get_task_type(name).authorize({}, caller)
    get_task_type(name).authorize({}, COMMAND_LINE)
