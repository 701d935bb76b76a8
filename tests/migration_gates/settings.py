"""settings.test with the application `gate_shop`, for the processes of a stack."""

from settings.test import *  # noqa: F403
from settings.test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.migration_gates.shop.apps.GateShopConfig"]
