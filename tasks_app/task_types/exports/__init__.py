"""Export: a task type that writes the rows of a queryset to one file, exactly once."""

from tasks_app.task_types.exports.export import Export

__all__ = ["Export"]
