"""A dataclass becomes the serializer of a task's parameters, and its instance is made from what was stored."""

from __future__ import annotations

import datetime
import enum
import json
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import pytest

from tasks_app.api.params_schema import describe_params
from tasks_app.task_types import HopelessError
from tasks_app.task_types.collections.dataclass_params import make_serializer, read_params
from tasks_app.task_types.task_params import encode_params


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Everything:
    text: str
    number: int
    real: float
    yes: bool
    price: Decimal
    at: datetime.datetime
    day: datetime.date
    hour: datetime.time
    pause: datetime.timedelta
    key: uuid.UUID
    colour: Colour
    size: Literal["s", "m"]
    tags: list[str]
    perhaps: int | None


@dataclass
class Defaults:
    text: str = ""
    price: Decimal = Decimal("1.50")
    day: datetime.date = datetime.date(2020, 1, 2)
    colour: Colour = Colour.BLUE
    tags: list[int] = field(default_factory=list)
    perhaps: str | None = None
    limit: int = field(default=5, metadata={"min_value": 1, "help_text": "At most."})


GIVEN: dict[str, Any] = {
    "text": "a", "number": -3, "real": 0.5, "yes": True, "price": "12.30", "at": "2024-01-02T03:04:05.000006Z",
    "day": "2024-01-02", "hour": "03:04:05", "pause": "1 02:03:04", "key": "00000000-0000-0000-0000-000000000007",
    "colour": "red", "size": "m", "tags": ["x", "y"], "perhaps": None,
}  # fmt: skip


def store(params_class: type, given: dict[str, Any]) -> dict[str, Any]:
    """Validate and store params, as a start does."""
    serializer = make_serializer(params_class)(data=given)
    assert serializer.is_valid(), serializer.errors
    return dict(json.loads(json.dumps(encode_params(serializer.validated_data))))


def test_values_of_every_type_arrive_in_their_python_type() -> None:
    assert read_params(Everything, store(Everything, GIVEN)) == Everything(
        text="a",
        number=-3,
        real=0.5,
        yes=True,
        price=Decimal("12.30"),
        at=datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
        day=datetime.date(2024, 1, 2),
        hour=datetime.time(3, 4, 5),
        pause=datetime.timedelta(days=1, hours=2, minutes=3, seconds=4),
        key=uuid.UUID(int=7),
        colour=Colour.RED,
        size="m",
        tags=["x", "y"],
        perhaps=None,
    )


def test_defaults_are_those_of_the_dataclass() -> None:
    assert read_params(Defaults, store(Defaults, {})) == Defaults()
    schema = describe_params(make_serializer(Defaults))
    assert schema["required"] == []
    assert json.loads(json.dumps(schema["properties"]["price"]["default"])) == "1.50"
    assert schema["properties"]["limit"] == {"type": "integer", "minimum": 1, "description": "At most.", "default": 5}


@pytest.mark.parametrize(
    ("params_class", "given"),
    [
        (Everything, {}),
        (Everything, GIVEN | {"number": "x"}),
        (Everything, GIVEN | {"colour": "green"}),
        (Everything, GIVEN | {"size": "xl"}),
        (Everything, GIVEN | {"number": None}),
        (Defaults, {"limit": 0}),
        (Defaults, {"tags": ["x"]}),
    ],
)
def test_other_values_are_refused(params_class: type, given: dict[str, Any]) -> None:
    assert not make_serializer(params_class)(data=given).is_valid()


def test_a_class_that_has_changed_since_the_start_is_hopeless() -> None:
    with pytest.raises(HopelessError, match="a new parameter needs a default"):
        read_params(Everything, {"text": "a"})
    with pytest.raises(HopelessError, match="does not fit"):
        read_params(Defaults, {"gone": 1})


@pytest.mark.parametrize("kind", [dict, "Params", dataclass(type("Odd", (), {"__annotations__": {"x": dict}}))])
def test_what_has_no_serializer_field_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"use a class with the decorator @dataclass|accepted: str, int"):
        make_serializer(kind)
