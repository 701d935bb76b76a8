"""`manage.py task start NAME` has an option for each parameter of the task type."""

import datetime
import enum
import json
from collections.abc import Generator
from dataclasses import dataclass, field
from decimal import Decimal
from io import StringIO
from typing import Any, Literal

import pytest
from django.core.management import CommandError, call_command

from catalog.models import User
from tasks_app.task_types import register, unregister
from tasks_app.task_types.collections import Backfill, Run
from tests.support.engine import _database, job  # noqa: F401 (fixture)

NAME = "with_options"


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Params:
    countryCode: int
    colour: Colour = Colour.RED
    size: Literal["s", "m"] = "s"
    level: Literal[1, 2] = 1
    ratio: float = 0.5
    price: Decimal = Decimal("1.50")
    since: datetime.date | None = None
    is_dry: bool = field(default=True, metadata={"help_text": "Whether 100% of it is dry."})
    tags: list[str] = field(default_factory=list)
    description: str = ""


@pytest.fixture(autouse=True)
def _registered() -> Generator[None, None, None]:
    class WithOptions(Backfill):
        """Has parameters of many kinds."""

        params_class = Params

        def collection(self, params: Params) -> Any:
            return User.objects.all()

        def process(self, rows: list[Any], run: Run) -> None:
            """Change nothing."""

    register(WithOptions)
    yield
    unregister(NAME)


def start(*words: str) -> dict[str, Any]:
    """Start a task, and return its params."""
    output = StringIO()
    call_command("task", "start", NAME, *words, "--json", stdout=output)
    params: dict[str, Any] = job(json.loads(output.getvalue())["id"]).params
    return params


def test_each_parameter_has_an_option() -> None:
    assert start(
        "--country-code", "49", "--colour", "b", "--size=m", "--level", "2",
        "--ratio", "2", "--price", "3.25", "--since", "2020-01-02",
        "--no-is-dry", "--tags", '["a", "b"]',
    ) == {
        "countryCode": 49, "colour": "b", "size": "m", "level": 2, "ratio": 2.0, "price": "3.25", "since": "2020-01-02",
        "is_dry": False, "tags": ["a", "b"], "description": "",
    }  # fmt: skip


def test_options_that_are_not_given_keep_the_types_defaults() -> None:
    params = start("--country-code", "1")
    assert (params["colour"], params["is_dry"], params["price"]) == ("r", True, "1.50")


def test_an_option_is_stronger_than_params_and_both_are_used() -> None:
    params = start("--params", '{"countryCode": 1, "ratio": 3, "description": "of the type"}', "--country-code", "2")
    assert (params["countryCode"], params["ratio"], params["description"]) == (2, 3.0, "of the type")


def test_options_before_the_name_are_found_too() -> None:
    output = StringIO()
    call_command("task", "start", "--country-code", "7", NAME, "--json", stdout=output)
    assert job(json.loads(output.getvalue())["id"]).params["countryCode"] == 7


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "countryCode: This field is required"),
        (["--country-code", "1", "--colour", "x"], "colour: "),
        (["--country-code", "x"], "argument --country-code: invalid int value: 'x'"),
        (["--country-code", "1", "--tags", "a"], "argument --tags: not valid JSON"),
        (["--country-code", "1", "--num-records", "5"], "unrecognized arguments: --num-records"),
    ],
)
def test_what_is_wrong_is_named(words: list[str], error: str) -> None:
    with pytest.raises(CommandError) as caught:
        start(*words)
    assert error in str(caught.value)


def test_the_help_of_a_type_lists_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("task", "start", NAME, "--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "parameters of with_options:" in shown
    for words in (
        "--country-code N", "(required)", "--colour VALUE", "(r, b) (default: r)", "--is-dry, --no-is-dry",
        "Whether 100% of it is dry.", "--since DATE", "--price NUMBER", "--tags JSON",
    ):  # fmt: skip
        assert words in shown, words
    assert shown.count("--description") >= 1


def test_another_types_option_is_its_own() -> None:
    output = StringIO()
    call_command("task", "start", "upload", "--num-records", "5", "--json", stdout=output)
    assert json.loads(output.getvalue())["params"] == {"numRecords": 5}
