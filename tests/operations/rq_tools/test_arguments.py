"""Arguments of django-rq's commands that could only do harm are refused in one line; each command is documented."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from loadtests.started.stack import ProcfileStack
from tests.operations.rq_tools.steps import ALLOWED, PAGE

pytestmark = pytest.mark.slow


REFUSED = [
    ("rqworker", "default"),
    ("rqworker", "--worker-class", "rq.worker.Worker"),
    ("rqworker", "--worker-class", "not.there"),
    ("rqworker", "--job-class", "rq.job.Job"),
    ("rqworker-pool", "default"),
    ("rqworker-pool", "--worker-class", "rq.worker.SimpleWorker"),
    ("rqworker-pool", "--num-workers", "0"),
    ("rqscheduler",),
    ("rqsuspend", "--duration", "0"),
    ("rqenqueue", "--queue", "default", ALLOWED),
    ("rqenqueue", "--timeout", "-1", ALLOWED),
]


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_a_harmful_argument_is_refused_with_one_line(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as refused:
        call_command(*arguments)
    assert refused.value.returncode == 2
    assert "\n" not in str(refused.value)


def test_a_refused_command_prints_one_line_and_exits_with_2(stack: ProcfileStack) -> None:
    refused = stack.run_manage("rqworker", "default")
    assert refused.returncode == 2
    assert len(refused.stdout.strip().splitlines()) == 1, refused.stdout


def test_every_command_of_both_packages_is_in_the_documented_table() -> None:
    import django_rq
    from rq.cli import main

    text = PAGE.read_text(encoding="utf-8")
    commands = Path(django_rq.__file__).parent / "management" / "commands"
    names = [f"manage.py {path.stem}" for path in commands.glob("rq*.py")] + [f"rq {name}" for name in main.commands]
    assert [name for name in names if f"`{name}" not in text] == []
