"""Products, as the version of the code has them that comes after all migrations. Owns the columns."""

from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=40)
    slug = models.CharField(max_length=40)
    visits = models.IntegerField(default=0, db_default=0)  # how often the back-fill has changed the row

    class Meta:
        app_label = "gate_shop"
