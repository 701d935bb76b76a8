"""What processes report to Redis about themselves, and their exits."""

from longtasks import gunicorn
from tasks_app.process_monitor import exits, reporter, reports
from tests.linearity import Case, repeat, texts
from tests.linearity_cases.calls import keys


def process_cases() -> list[Case]:
    """What processes write about themselves to Redis, about others to the environment, and the name of their machine."""
    forms = (reports._HOST, reports._VERSION, reports._EXIT)
    return [
        Case(
            "reports._parse",
            lambda text: reports._parse(b"web:0:x", text.encode(), now=1),
            {
                "digits": repeat("1"),
                "open": repeat("[", before="1 "),
                "unknown names": lambda length: f"1 {{{keys(length)}}}",
            },
            ("tasks_app/process_monitor/reports.py:_parse",),
        ),
        Case(
            "the fields of an entry",
            lambda text: [form.fullmatch(text) for form in forms],
            texts("x", ":", " ", "é"),
            tuple(f"tasks_app/process_monitor/reports.py:{name}" for name in ("_HOST", "_VERSION", "_EXIT")),
        ),
        Case(
            "exits.read_exits",
            lambda text: exits.read_exits({exits.VARIABLE: text}),
            texts("1", "1=", "x", "1=x,", " "),
            ("tasks_app/process_monitor/exits.py:read_exits",),
        ),
        Case(
            "reporter.name_host",
            reporter.name_host,
            texts("x", ":", "é"),
            ("tasks_app/process_monitor/reporter.py:name_host",),
        ),
        Case(
            "gunicorn's message of an exit",
            gunicorn.EXIT_MESSAGE.match,
            texts("x", "Worker (pid:%s) was sent", " "),
            ("longtasks/gunicorn.py:EXIT_MESSAGE",),
        ),
    ]
