"""What a serializer makes of a record: empty fields, unknown keys, refusals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rest_framework import serializers

from tasks_app.record_files import Fault, Position, Record
from tasks_app.task_types.imports.rows import RowRefused, RowSchema


class Row(serializers.Serializer[Any]):
    text = serializers.CharField(required=False)
    blank = serializers.CharField(allow_blank=True, default="x")
    null = serializers.IntegerField(allow_null=True, default=1)
    default = serializers.IntegerField(default=7)
    required = serializers.DecimalField(max_digits=5, decimal_places=2, source="price")
    shown = serializers.CharField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["price"] == 13:
            raise serializers.ValidationError("Not thirteen.")
        return attrs


SCHEMA = RowSchema(Row())


def record(fault: Fault | None = None, **values: Any) -> Record:
    return Record(5, values, Position(9, 6), fault)


def test_the_columns_are_the_fields_that_can_be_written() -> None:
    assert SCHEMA.columns.known == ("text", "blank", "null", "default", "required")
    assert SCHEMA.columns.required == {"required"}
    assert "failure_line" in SCHEMA.columns.ignored


def test_an_empty_text_is_blank_null_or_left_out() -> None:
    row = SCHEMA.read(record(text="", blank="", null="", default="", required="1.5"), position=3, is_text=True)
    assert row.values == {"blank": "", "null": None, "default": 7, "price": Decimal("1.50")}
    assert (row.line, row.position) == (5, 3)
    assert row.original["null"] == ""


def test_an_empty_required_field_is_refused() -> None:
    with pytest.raises(RowRefused, match=r"Line 5, column 1: required: A valid number is required. The value is ''\."):
        SCHEMA.read(record(required=""), position=0, is_text=True)


def test_an_empty_json_text_stays_one() -> None:
    with pytest.raises(RowRefused, match="Line 5, column 2: null: A valid integer is required"):
        SCHEMA.read(record(required="1", null=""), position=0, is_text=False)


def test_an_unknown_key_of_a_json_record_is_refused() -> None:
    with pytest.raises(RowRefused, match=r"Line 5: unknown keys: 'other'"):
        SCHEMA.read(record(required="1", other=1), position=0, is_text=False)
    assert SCHEMA.read(record(required="1", failure_line=3), position=0, is_text=False)


def test_a_fault_of_the_whole_row_and_a_missing_field_name_the_line() -> None:
    with pytest.raises(RowRefused, match=r"^Line 5: Not thirteen\.$"):
        SCHEMA.read(record(required="13"), position=0, is_text=True)
    with pytest.raises(RowRefused, match=r"^Line 5: required: This field is required\.$"):
        SCHEMA.read(record(text="x"), position=0, is_text=False)


def test_a_fault_of_the_file_is_the_refusal() -> None:
    with pytest.raises(RowRefused) as caught:
        SCHEMA.read(record(Fault("a NUL character", 5, byte=44), required="x"), position=2, is_text=True)
    assert str(caught.value) == "Line 5 (byte 44): a NUL character"
    assert (caught.value.position, caught.value.original) == (2, {"required": "x"})


def test_a_refusal_is_bounded_and_printable() -> None:
    with pytest.raises(RowRefused) as caught:
        SCHEMA.read(record(required="\x1b" * 100_000), position=0, is_text=True)
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)


def test_one_schema_reads_many_rows_independently() -> None:
    good = [SCHEMA.read(record(required=str(n)), position=n, is_text=True).values["price"] for n in range(5)]
    assert good == [Decimal(n) for n in range(5)]
    with pytest.raises(RowRefused):
        SCHEMA.read(record(required="x"), position=0, is_text=True)
    assert SCHEMA.read(record(required="1"), position=0, is_text=True).values["price"] == 1
