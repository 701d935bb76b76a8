"""For the tests of task types: runs a task in the test's own process, and proves that it survives crashes.

```python
from tasks_app.testing import assert_survives_crashes, make_csv, make_rows, run_task
```

The names are imported at their first use, because pytest loads the plugin before Django's applications are ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tasks_app.testing.inline_run import run_task
    from tasks_app.testing.sample_rows import make_csv, make_rows
    from tasks_app.testing.survival import assert_survives_crashes
    from tasks_app.testing.task_result import Artifact, TaskResult

__all__ = ["Artifact", "TaskResult", "assert_survives_crashes", "make_csv", "make_rows", "run_task"]
_MODULES: Final = {
    "Artifact": "task_result",
    "TaskResult": "task_result",
    "assert_survives_crashes": "survival",
    "make_csv": "sample_rows",
    "make_rows": "sample_rows",
    "run_task": "inline_run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
