"""What task types run and raise, and what the stores answer."""

from catalog import sql_scripts
from catalog.phone_numbers import to_e164
from tasks_app.conf import queue_names
from tasks_app.django_tasks import outcomes
from tasks_app.domain import error_text
from tasks_app.engine import chunk_guard
from tasks_app.queues import thread_connection
from tasks_app.task_types import declarations, page_explanation, task_results
from tests.linearity import Case, texts
from tests.linearity_cases.calls import quietly

_STATEMENTS = (chunk_guard._ENDS_TRANSACTION, chunk_guard._CHANGES_SESSION)
_NAMES = (declarations._NAME, declarations._COUNT_NAME, task_results._COUNT_NAME)


def task_type_cases() -> list[Case]:
    """Statements and errors of task types, and errors of the stores."""
    statements = texts("x", " ", "(", "/*", "/* */", "--\n", "SET ", "SELECT ", "COMMIT", "autocommit ")
    return [
        Case(
            "chunk_guard's check of a statement",
            lambda sql: [pattern.match(chunk_guard._get_head(sql)) for pattern in _STATEMENTS],
            statements,
            tuple(
                f"tasks_app/engine/chunk_guard.py:{name}"
                for name in ("_COMMENT", "_ENDS_TRANSACTION", "_CHANGES_SESSION")
            ),
        ),
        Case(
            "error_text.describe_error",
            lambda text: error_text.describe_error(ValueError(text)),
            texts("x", "\n", "\udce9", "\x1b", "é"),
        ),
        Case(
            "error_text.error_line",
            lambda text: error_text.error_line(ValueError(text)),
            texts("x", "\n", "\u2028"),
            ("tasks_app/domain/error_text.py:_LINE_BREAKS",),
        ),
        Case(
            "outcomes.find_exception_path",
            lambda text: outcomes.find_exception_path(f"Traceback (most recent call last):\n{text}"),
            texts("x", "x.", ".", "1", "_:", "\nTraceback (most recent call last):"),
            ("tasks_app/django_tasks/outcomes.py:_EXCEPTION",),
        ),
        Case(
            "sql_scripts' lines of a table",
            sql_scripts._break_lines,
            texts("x", ", ", ", `x", ", `x` ", ", CONSTRAINT"),
            ("catalog/sql_scripts.py:_NEXT_COLUMN",),
        ),
        Case("error_text.describe_value", error_text.describe_value, texts("x", "\n", "\udce9")),
        Case(
            "thread_connection.get_refusal",
            thread_connection.get_refusal,
            texts("x", "ERR ", "ERR x: -OOM ", ": ", "A"),
            ("tasks_app/queues/thread_connection.py:_WORD", "tasks_app/queues/thread_connection.py:_INNER"),
        ),
        Case(
            "phone_numbers.to_e164",
            lambda text: to_e164(text, country_code=1),
            texts("1", " ", "+", "(", "x", "00"),
        ),
        Case(
            "page_explanation.read_sqlite",
            page_explanation.read_sqlite,
            texts("x", "SCAN ", "SEARCH ", "SCAN t USING ", "SCAN t USING INDEX "),
            ("tasks_app/task_types/page_explanation.py:_SQLITE",),
        ),
        Case(
            "names of queues",
            lambda text: (quietly(queue_names.check_queues, ValueError)(text), queue_names.NAME.match(text)),
            texts("x", "-", "_", ",", "A"),
            ("tasks_app/conf/queue_names.py:NAME",),
        ),
        Case(
            "names of task types and counts",
            lambda text: [pattern.match(text) for pattern in _NAMES],
            texts("x", "|", "."),
            (
                "tasks_app/task_types/declarations.py:_NAME",
                "tasks_app/task_types/declarations.py:_COUNT_NAME",
                "tasks_app/task_types/task_results.py:_COUNT_NAME",
            ),
        ),
    ]
