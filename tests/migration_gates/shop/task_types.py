"""The back-fill of the slugs. Owns the type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F, Value
from django.db.models.functions import Concat

from tasks_app.task_types import register
from tasks_app.task_types.collections import Backfill, Run
from tests.migration_gates.shop.models import Product


@dataclass
class Params:
    prefix: str = "p-"


@register
class FillSlugs(Backfill):
    """Gives each product without a slug one."""

    name = "fill-slugs"
    params_class = Params
    refused = ""  # the name of a product that raises

    def collection(self, params: Any) -> Any:
        return Product.objects.filter(slug__isnull=True)

    def process(self, rows: list[Any], run: Run) -> dict[str, int]:
        if any(row.name == self.refused for row in rows):
            raise ValueError(f"{self.refused} has no slug")
        found = Product.objects.filter(pk__in=[row.pk for row in rows])
        return {"filled": found.update(slug=Concat(Value(run.params.prefix), F("name")), visits=F("visits") + 1)}
