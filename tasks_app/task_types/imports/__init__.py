"""Imports: the base class of task types that write a row for each record of an uploaded file."""

from tasks_app.task_types.imports.import_type import Import, ImportRun
from tasks_app.task_types.imports.params import ImportParams
from tasks_app.task_types.imports.rows import ImportRow, RowRefused

__all__ = ["Import", "ImportParams", "ImportRow", "ImportRun", "RowRefused"]
