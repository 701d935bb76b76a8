"""What a failing record says of itself, how many may fail, and the cells of a CSV file."""

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from tasks_app.api import content_negotiation, failure_serializers, query_parameters
from tasks_app.domain import csv_cells, max_failures, printable
from tasks_app.management import failures_action
from tasks_app.read_model import failure_list
from tasks_app.task_types import FailedRecord, failed_record
from tests.linearity import Case, repeat, texts
from tests.linearity_cases.calls import quietly


def failure_cases() -> list[Case]:
    bounds = texts("1", "0", ".", "%", "1.") | {
        "share": repeat("1", after="%"),
        "places": repeat("0", before="0.", after="%"),
    }
    return [
        Case(
            "max_failures.read_max_failures",
            lambda text: (
                quietly(max_failures.read_max_failures, ValueError)(text),
                max_failures.get_excess(text, failed=1, done=1, total=1, is_end=True),
                max_failures._SHARE.match(text),
                quietly(failures_action.read_bound, Exception)(text),
            ),
            bounds,
            ("tasks_app/domain/max_failures.py:_SHARE",),
        ),
        Case(
            "csv_cells.neutralise",
            lambda text: csv_cells.restore(csv_cells.neutralise(text)),
            texts("'", "=", "'=", "x", "\t", "-1")
            | {"number": repeat("1", before="-"), "spaces": repeat(" ", before="-1", after="x")},
            ("tasks_app/domain/csv_cells.py:_FORMULA", "tasks_app/domain/csv_cells.py:_NUMBER"),
        ),
        Case(
            "failure_list.read_page's cursor",
            lambda text: (
                quietly(failure_list._parse, ValueError)(text),
                quietly(
                    lambda query: query_parameters.read_query(
                        QueryDict(query), failure_serializers.FailuresQuerySerializer
                    ),
                    ValidationError,
                )(f"cursor={text}"),
            ),
            texts("1", "1-", "-"),
            ("tasks_app/read_model/failure_list.py:CURSOR", "tasks_app/api/failure_serializers.py:cursor"),
        ),
        Case(
            "content_negotiation.prefers_csv",
            lambda text: content_negotiation.prefers_csv({"HTTP_ACCEPT": text}),
            texts("x", "text/csv,", ";q=0", " "),
        ),
        Case(
            "failed_record.bound_record",
            lambda text: (
                failed_record.bound_record(FailedRecord(key=text, values={text: text})),
                failed_record.bound_record(FailedRecord(values={str(number): text for number in range(3)})),
                failed_record.describe_failure(ValueError(text)),
                failed_record.describe_failure(ValidationError({text: [text, text]})),
            ),
            texts("x", "\udce9", "\0", "é"),
        ),
        Case(
            "printable's lone surrogates",
            lambda text: printable.escape(text, unsafe=printable.SURROGATES),
            texts("x", "\udce9"),
            ("tasks_app/domain/printable.py:SURROGATES",),
        ),
    ]  # fmt: skip
