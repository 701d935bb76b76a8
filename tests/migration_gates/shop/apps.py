"""The application `gate_shop`. Owns its label."""

from django.apps import AppConfig


class GateShopConfig(AppConfig):
    name = "tests.migration_gates.shop"
    label = "gate_shop"
    default_auto_field = "django.db.models.BigAutoField"
