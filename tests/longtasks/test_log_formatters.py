"""Log lines: a JSON object in production, text in development, with the same context and without secrets."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Generator

import pytest
from django.test import Client

from longtasks.log_formatters import JsonFormatter, TextFormatter
from settings.env import ROOT
from tasks_app.observability import log_context
from tests.conftest import MakeStack
from tests.settings.good_production import GOOD_PRODUCTION


@pytest.fixture(autouse=True)
def _context() -> Generator[None, None, None]:
    tokens = [(variable, variable.set("")) for variable in log_context.VARIABLES]
    yield
    for variable, token in tokens:
        variable.reset(token)


def make_record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("tasks_app.engine.runner", logging.WARNING, __file__, 1, message, args, None)
    vars(record).update(extra)
    return record


def test_json_holds_message_context_and_extras() -> None:
    log_context.worker.set("host-1")
    log_context.begin_task(task="T", request="R")
    log_context.chunk.set("500+250")
    line = json.loads(JsonFormatter().format(make_record("took %d s", 3, attempt=2)))
    assert line.pop("time").endswith("+00:00")
    assert line.pop("pid")
    assert line == {
        "level": "WARNING",
        "logger": "tasks_app.engine.runner",
        "message": "took 3 s",
        "request_id": "R",
        "task_id": "T",
        "worker": "host-1",
        "chunk": "500+250",
        "attempt": 2,
    }


def test_text_is_one_line_with_the_same_context() -> None:
    log_context.begin_task(task="T", request="R")
    line = TextFormatter().format(make_record("took %d s", 3, attempt=2))
    assert line.endswith("WARNING tasks_app.engine.runner: took 3 s  [request_id=R task_id=T attempt=2]")


def test_an_exception_stays_inside_its_json_line() -> None:
    record = make_record("failed")
    try:
        raise ValueError("redis://:hunter2@host/0")
    except ValueError:
        record.exc_info = sys.exc_info()
    text = JsonFormatter().format(record)
    assert text.count("\n") == 0
    assert "ValueError" in json.loads(text)["exception"]
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "message",
    [
        "can't connect to mysql://root:hunter2@db:3306/x",
        "redis://:hunter2@host:6379/0 is away",
        "Authorization: Bearer hunter2hunter2",
        "password=hunter2 user=me",
        "{'password': 'hunter2', 'a': 1}",
        "SECRET_KEY='hunter2'",
        "api_key: hunter2",
        "Cookie: sessionid=hunter2",
    ],
)
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_secrets_are_hidden(formatter: logging.Formatter, message: str) -> None:
    for record in (make_record(message), make_record("%s", message), make_record("x", detail=message)):
        line = formatter.format(record)
        assert "hunter2" not in line
        assert "***" in line


def test_text_without_a_secret_is_unchanged() -> None:
    message = "task 0198f2a4-7c1e-7b53-9d0a-3f6f2f1f9a10: http://host:3000/tasks answered 201"
    assert message in TextFormatter().format(make_record(message))


def test_production_writes_json_development_text() -> None:
    code = "import logging, django; django.setup(); logging.getLogger('x').warning('hello %s', 'you')"
    for module, wanted in (("settings.production", "json"), ("settings.development", "text")):
        shown = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PATH": "/usr/bin", "ENV_FILE": "", "DJANGO_SETTINGS_MODULE": module, **GOOD_PRODUCTION},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stderr.strip()
        if wanted == "json":
            assert json.loads(shown)["message"] == "hello you"
        else:
            assert shown.endswith("WARNING x: hello you")


def test_log_lines_of_a_request_carry_its_id(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.get("/health/live", headers={"X-Request-ID": "mine-1"})
    assert log_context.request_id.get() == "mine-1"


def test_the_ids_are_the_same_across_web_and_worker(make_stack: MakeStack) -> None:
    """A purge of a broken task id fails, so the worker logs its attempts."""
    stack = make_stack(
        workers=1, environment={"LOG_FORMAT": "JSON", "RETRY_ATTEMPTS": "1", "BULK_WRITER": "0", "LOG_LEVEL": "INFO"}
    )
    stack.sql("DROP TABLE order_items")
    answer = stack.post(
        "/tasks", {"name": "upload", "params": {"numRecords": 5000}}, headers={"X-Request-ID": "trail-7"}
    )
    task = stack.wait_for_end(answer.json["id"], deadline_seconds=60)
    assert task["status"] == "failed"
    lines = [json.loads(line) for line in stack.log_path("worker").read_text().splitlines() if line.startswith("{")]
    [failure] = [
        line for line in lines if "failed" in line["message"] and line["logger"] == "tasks_app.engine.task_session"
    ]
    assert failure["request_id"] == "trail-7"
    assert failure["task_id"] == task["id"]
    assert failure["worker"]
    assert failure["chunk"].startswith("0+")
    web = [line for line in stack.log_path("web").read_text().splitlines() if "gunicorn" in line]
    assert web
    assert all(json.loads(line)["level"] == "INFO" for line in web)


class Unshowable:
    """Return a value that a task type may put into a log line or an exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error

    __repr__ = __str__


def make_failed(error: BaseException) -> logging.LogRecord:
    record = make_record("failed")
    try:
        raise error
    except BaseException:
        record.exc_info = sys.exc_info()
    return record


ODD_RECORDS = {
    "an object whose __str__ raises": lambda: make_record("%s", Unshowable(ValueError("no"))),
    "one that ends the process": lambda: make_record("%s", Unshowable(SystemExit(1))),
    "one as an extra": lambda: make_record("x", detail=Unshowable(ValueError("no"))),
    "one as the message": lambda: make_record(Unshowable(ValueError("no"))),  # type: ignore[arg-type]
    "one in an exception": lambda: make_failed(ValueError(Unshowable(ValueError("no")))),
    "too few arguments": lambda: make_record("%s %s", 1),
    "a wrong format": lambda: make_record("%d", "x"),
    "no format": lambda: make_record("100%", 1),
    "a huge integer": lambda: make_record("%d", 10**5000),
    "one as an extra integer": lambda: make_record("x", number=10**5000),
    "no number": lambda: make_record("x", number=float("nan")),
    "bytes": lambda: make_record("x", data=b"\xff\x00"),
    "a lone surrogate": lambda: make_record("caf\udce9", name2="caf\udce9"),
    "one in an exception's text": lambda: make_failed(RuntimeError("caf\udce9 could not be read")),
    "control characters": lambda: make_record("a\x1b[2J\r\x00\x07\x9b31m\u202e", detail="a\x1b\n\r"),
    "ones in an exception": lambda: make_failed(ValueError("a\x1b[2J\r\x00\x07\x9b31m\u202e")),
    "a line that looks like another": lambda: make_record("a\n12:00:00.000 ERROR tasks_app: forged"),
    "five million letters": lambda: make_record("x" * 5_000_000),
    "as an argument": lambda: make_record("%s", "x" * 5_000_000, detail="y" * 5_000_000),
    "as an exception": lambda: make_failed(ValueError("x" * 5_000_000)),
    "words": lambda: make_failed(ValueError("token " * 1_000_000)),
    "addresses": lambda: make_failed(ValueError("://a:b" * 1_000_000)),
    "no exception": lambda: make_record("x", exc_info=(None, None, None)),
    "a wrong one": lambda: make_record("x", exc_info=True),
}


@pytest.mark.parametrize("make_odd", ODD_RECORDS.values(), ids=ODD_RECORDS.keys())
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_whatever_a_record_holds_becomes_a_bounded_printable_line(
    formatter: logging.Formatter, make_odd: Callable[[], logging.LogRecord]
) -> None:
    record = make_odd()
    began = time.perf_counter()
    text = formatter.format(record)
    assert time.perf_counter() - began < 2
    text.encode()  # contains no lone surrogate
    assert len(text) < 100_000
    first, *others = text.split("\n")
    assert first.isprintable()
    assert all(line.replace("\t", "").isprintable() for line in others)
    assert bool(others) is (isinstance(formatter, TextFormatter) and bool(record.exc_info))
    if isinstance(formatter, JsonFormatter):
        json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize("shown", [1, 500, 3_000, 9_990, 12_000, 15_990, 19_000])
@pytest.mark.parametrize(
    "secret",
    [
        "mysql://root:hunter2hunter2@db:3306/x",
        "password=hunter2hunter2",
        "Authorization: Bearer hunter2hunter2",
        f"password={'hunter2' * 2_000}",
        f"mysql://root:{'hunter2' * 2_000}@db:3306/x",
        f"token: {'hunter2' * 6_000}",
    ],
    ids=["url", "name", "bearer", "long", "long url", "longer than a line"],
)
def test_truncation_reveals_no_part_of_a_secret(secret: str, shown: int) -> None:
    """The secret begins so many characters before the cut, or after it."""
    for before, after in ((shown, 60_000), (60_000, shown), (shown, 21_000 - shown)):
        text = "x " * (before // 2) + secret + " y" * (after // 2)
        line = TextFormatter().format(make_record(text))
        assert "hunter2" not in line
        assert "left out" in line


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_an_extra_with_a_secret_name_is_hidden(formatter: logging.Formatter) -> None:
    line = formatter.format(make_record("x", api_key="hunter2", password="hunter2 hunter3", actor="ann"))
    assert "hunter2" not in line
    assert "api_key" in line
    assert "ann" in line


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    line = TextFormatter().format(make_failed(ValueError("begin " + "word " * 100_000 + "end")))
    assert "Traceback" in line
    assert "begin word" in line
    assert line.endswith("word end")
    assert "characters left out" in line


@pytest.mark.parametrize(
    "message",
    [
        '{"password": "hunter2"}',
        '{\\"password\\": \\"hunter2\\"}',
        "token='hunter2'; a=1",
        "GET /stream?lastEventId=1&ticket=hunter2 HTTP/1.1",
        "GET /tasks/x/stream?access_token=hunter2&a=1",
        "amqp+ssl://user:hunter2@a and http://u:hunter2@b/c@d",
        "postgres://u:hunter2@",
        "X-Api-Key: hunter2",
        "basic hunter2hunter2",
    ],
)
def test_more_secrets_are_hidden(message: str) -> None:
    assert "hunter2" not in TextFormatter().format(make_record(message))
