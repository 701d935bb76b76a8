"""Imports through Resources of django-import-export, into the table of id blocks."""

from __future__ import annotations

from typing import Any

from import_export.resources import ModelResource

from catalog.models import IdBlock
from tasks_app.task_types import register
from tasks_app.task_types.imports.resource_import import ResourceImport


class BlockResource(ModelResource):
    class Meta:
        model = IdBlock
        import_id_fields = ("name",)
        fields = ("name", "next_id")
        skip_unchanged = True


class NewBlocks(BlockResource):
    """Does not find the rows that exist, so that the database refuses their keys."""

    class Meta:
        skip_diff = True

    def get_queryset(self) -> Any:
        return IdBlock.objects.none()


class BulkBlocks(NewBlocks):
    class Meta:
        use_bulk = True
        batch_size = 10


@register
class ImportBlocks(ResourceImport):
    """Inserts or updates id blocks."""

    name = "import_blocks_by_resource"
    resource_class = BlockResource


@register
class ImportNewBlocks(ResourceImport):
    """Inserts id blocks."""

    name = "import_new_blocks"
    resource_class = NewBlocks


@register
class ImportBulkBlocks(ResourceImport):
    """Inserts id blocks in bulk."""

    name = "import_bulk_blocks"
    resource_class = BulkBlocks
