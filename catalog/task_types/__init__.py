"""The task types of the catalog, one class per file. Importing this package registers them all."""

from __future__ import annotations

from catalog.task_types.export_order_items import ExportOrderItems
from catalog.task_types.import_products import ImportProductsTask
from catalog.task_types.normalise_user_phones import NormaliseUserPhones
from catalog.task_types.prune_order_items import PruneOrderItems
from catalog.task_types.purge import PurgeTask
from catalog.task_types.upload import UploadTask

__all__ = [
    "ExportOrderItems",
    "ImportProductsTask",
    "NormaliseUserPhones",
    "PruneOrderItems",
    "PurgeTask",
    "UploadTask",
]
