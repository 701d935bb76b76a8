"""Task types: what the module of one needs, from one place.

```python
from tasks_app.task_types import Chunk, ChunkResult, TaskType, write_artifact, register
```
"""

from tasks_app.domain.callers import Caller
from tasks_app.errors import HopelessError, NotAllowed, ParamRefused
from tasks_app.files.open_file import FileGone, open_file
from tasks_app.files.task_files import StoredFile
from tasks_app.task_types.cursor_use import CursorUse
from tasks_app.task_types.declarations import NAME_CHARACTERS, check_declaration
from tasks_app.task_types.failed_record import CannotRetryFailures, FailedRecord, ListedFailure, RecordRefused
from tasks_app.task_types.registry import (
    find_own_queue,
    get_attempts,
    get_error_attempts,
    get_limit_seconds,
    get_retry_pauses,
    get_startable_type,
    get_task_type,
    list_names,
    list_startable_types,
    list_task_types,
    register,
    unregister,
)
from tasks_app.task_types.row_changes import RowChange
from tasks_app.task_types.task_file_field import TaskFileField
from tasks_app.task_types.task_id_field import TaskIdField
from tasks_app.task_types.task_plans import Part, Plan
from tasks_app.task_types.task_type import Chunk, ChunkResult, TaskProgress, TaskType, write_artifact

__all__ = [
    "NAME_CHARACTERS",
    "Caller",
    "CannotRetryFailures",
    "Chunk",
    "ChunkResult",
    "CursorUse",
    "FailedRecord",
    "FileGone",
    "HopelessError",
    "ListedFailure",
    "NotAllowed",
    "ParamRefused",
    "Part",
    "Plan",
    "RecordRefused",
    "RowChange",
    "StoredFile",
    "TaskFileField",
    "TaskIdField",
    "TaskProgress",
    "TaskType",
    "check_declaration",
    "find_own_queue",
    "get_attempts",
    "get_error_attempts",
    "get_limit_seconds",
    "get_retry_pauses",
    "get_startable_type",
    "get_task_type",
    "list_names",
    "list_startable_types",
    "list_task_types",
    "open_file",
    "register",
    "unregister",
    "write_artifact",
]
