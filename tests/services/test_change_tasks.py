"""tasks_app/services/change_tasks.py: a change that Redis has made counts, even if the audit cannot be written."""

import pytest

from tasks_app.models import AuditEntry
from tasks_app.services import change_tasks
from tests.support.engine import start, waiting


def test_a_priority_changed_in_redis_counts_without_the_audit_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    task_id = start()

    def fail(**_: object) -> None:
        raise OperationalError(2013, "gone")

    monkeypatch.setattr("tasks_app.auth.audit_log.record", fail)
    assert change_tasks.change_priority(task_id=task_id, priority="high", actor="eve").priority == "high"
    assert waiting("high") == [task_id]
    assert not AuditEntry.objects.exists()
