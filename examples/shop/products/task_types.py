"""The long-running tasks of the shop. tasks_app imports this module when Django starts."""

from dataclasses import dataclass

from django.db.models import QuerySet

from products.models import Product
from tasks_app.task_types import register
from tasks_app.task_types.collections import Backfill, Run


@dataclass
class RaisePricesParams:
    """The parameters of the task."""

    percent: int = 10


@register
class RaisePrices(Backfill):
    """Raise each price once. A row that ran twice would be too expensive; a chunk and its checkpoint commit together."""

    name = "raise_prices"
    params_class = RaisePricesParams

    def collection(self, params: RaisePricesParams) -> QuerySet[Product]:
        return Product.objects.all()

    def process(self, rows: list[Product], run: Run) -> None:
        for product in rows:
            product.price_cents += product.price_cents * run.params.percent // 100
        Product.objects.bulk_update(rows, ["price_cents"])
