"""The base class of clean-ups: task types that delete rows with their dependants, and may copy them to an archive first.

Owns copy and delete of a page. Must not read pages (collection_task).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db import models, router
from django.db.models import ProtectedError, RestrictedError

from tasks_app.errors import HopelessError
from tasks_app.task_types.collections.collection_task import CollectionTask, Run
from tasks_app.task_types.collections.key_splits import all_rows

_NAME_CHARACTERS: Final = 64  # of a count
_NAMED: Final = 5  # rows that an error names


class StillReferenced(Exception):
    """A row cannot be deleted, because others refer to it with PROTECT or RESTRICT."""


class NotArchived(HopelessError):
    """Deleting a page also deletes rows of its table that the archive does not have."""


class Cleanup(CollectionTask):
    """Deletes each row of a collection, in the order of the key. Implement `collection`.

    Rows that refer to a deleted one by CASCADE are deleted with it, as QuerySet.delete() does. Counts are
    `deleted_<table>`, and `archived_<table>` of the copies.
    """

    archive_to: ClassVar[type[models.Model] | None] = None  # a model that gets a copy of each row before it is deleted

    def archive(self, rows: list[Any], run: Run) -> None:
        """Insert a copy of each row into the table of `archive_to`, in the same transaction as the delete."""
        if self.archive_to is None:
            return
        names = list_archived(type(rows[0]), self.archive_to)
        copies = [self.archive_to(**{name: getattr(row, name) for name in names}) for row in rows]
        all_rows(self.archive_to, using=router.db_for_write(self.archive_to)).bulk_create(copies)
        run.count(_count_name("archived", type(rows[0])), len(copies))

    def process_page(self, rows: list[Any], run: Run) -> None:
        """Archive the rows, then delete them with their dependants. Raises StillReferenced, NotArchived."""
        self.archive(rows, run)
        model = type(rows[0])
        page = all_rows(model, using=router.db_for_write(model)).filter(pk__in=[row.pk for row in rows])
        try:
            _, deleted = page.delete()
        except ProtectedError as error:
            raise _explain(model, error, error.protected_objects) from error
        except RestrictedError as error:
            raise _explain(model, error, error.restricted_objects) from error
        # A foreign key of the table to itself, with CASCADE.
        if self.archive_to is not None and deleted.get(model._meta.label, 0) > len(rows):
            raise NotArchived(
                f"Deleting {len(rows)} of {model._meta.label} also deletes {deleted[model._meta.label] - len(rows)} that refer "
                "to them by CASCADE and are not in the archive. Delete rows that refer to others first, by a class of their own."
            )
        for label, number in deleted.items():
            run.count(_count_name("deleted", model._meta.apps.get_model(label)), number)


def list_archived(model: type[models.Model], archive: type[models.Model]) -> list[str]:
    """Return the columns to copy. Raises HopelessError if the archive lacks one of them."""
    kept = {field.attname for field in archive._meta.concrete_fields}
    names = [field.attname for field in model._meta.concrete_fields]
    if missing := [name for name in names if name not in kept]:
        raise HopelessError(
            f"archive_to: {archive._meta.label} has no {', '.join(missing)}, which {model._meta.label} has: what is deleted "
            "would be lost. Add fields of these names, or override archive()."
        )
    return names


def _count_name(verb: str, model: type[models.Model]) -> str:
    return f"{verb}_{model._meta.db_table}"[:_NAME_CHARACTERS]


def _explain(model: type[models.Model], error: Exception, objects: Any) -> StillReferenced:
    shown = sorted({f"{each._meta.label} {each.pk}" for each in objects})
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return StillReferenced(
        f"{str(error.args[0])[:500]} They are: {', '.join(shown[:_NAMED])}{more}. Delete them first, or leave the rows that "
        f"they refer to out of collection()."
    )
