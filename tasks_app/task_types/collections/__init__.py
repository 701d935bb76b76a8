"""Task types over the rows of a table: what the module of one needs, from one place.

```python
from tasks_app.task_types.collections import Backfill, Cleanup, Run
```
"""

from tasks_app.task_types.collections.backfill import Backfill
from tasks_app.task_types.collections.cleanup import Cleanup, StillReferenced
from tasks_app.task_types.collections.collection_task import CollectionTask, Run

__all__ = ["Backfill", "Cleanup", "CollectionTask", "Run", "StillReferenced"]
