"""load_test_context and generate_fake_data, called as a user calls them."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from catalog.id_blocks import FIRST_ID
from catalog.models import MODELS, OrderItem, User
from catalog.sample_rows import CONTEXT_ID
from tests.catalog.conftest import read_rows

pytestmark = pytest.mark.django_db


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def run(name: str, *args: str, stdout: StringIO | None = None) -> str:
    stdout = stdout or StringIO()
    call_command(name, *args, stdout=stdout)
    return stdout.getvalue()


def test_the_fixed_rows_are_the_same_however_often_they_are_loaded() -> None:
    assert "Inserted 5 users, 4 products, 8 order_items" in run("load_test_context")
    first = read_rows(CONTEXT_ID)

    assert "Inserted 0 users, 0 products, 0 order_items" in run("load_test_context")

    assert read_rows(CONTEXT_ID) == first
    assert all(model.objects.filter(id__lt=FIRST_ID).count() == model.objects.count() for model in MODELS)


def test_missing_fixed_rows_are_restored() -> None:
    run("load_test_context")
    OrderItem.objects.filter(id__in=(2, 3)).delete()

    assert "Inserted 0 users, 0 products, 2 order_items" in run("load_test_context")

    assert OrderItem.objects.count() == 8


def test_fake_data_and_fixed_rows_share_no_id() -> None:
    run("generate_fake_data", "--records", "30")
    run("load_test_context")
    run("generate_fake_data", "--records", "30")

    assert User.objects.count() == 65


def test_generate_fake_data_writes_n_of_each_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.management.commands.generate_fake_data.TRANSACTION_RECORDS", 100)

    output = run("generate_fake_data", "--records", "250")

    assert "Inserted 250 users, 250 products, 250 order_items in" in output
    assert re.search(r" [\d,]+ rows/s", output)
    assert [model.objects.count() for model in MODELS] == [250] * 3
    assert [model.objects.filter(position=249).count() for model in MODELS] == [1] * 3


def test_generate_fake_data_shows_a_bar_on_a_terminal_only() -> None:
    assert "━" not in run("generate_fake_data", "--records", "10")
    assert "━" in run("generate_fake_data", "--records", "10", stdout=Terminal())


@pytest.mark.parametrize("records", ["0", "-5", "ten", "1e3"])
def test_generate_fake_data_refuses_an_invalid_number_of_records(records: str) -> None:
    with pytest.raises(CommandError, match="is not a valid number of records"):
        run("generate_fake_data", f"--records={records}")
    assert not User.objects.exists()
