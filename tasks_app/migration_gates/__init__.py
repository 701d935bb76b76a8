"""Gates in migrations: one migration starts a task, and a later one continues only when the task has finished.

```python
from tasks_app.migration_gates import RequireTask, StartTask
```
"""

from tasks_app.migration_gates.gate_errors import GateError, TaskNotFinished
from tasks_app.migration_gates.operations import RequireTask, StartTask

__all__ = ["GateError", "RequireTask", "StartTask", "TaskNotFinished"]
