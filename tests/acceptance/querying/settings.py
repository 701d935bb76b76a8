"""settings.test with the task type that queries the database, for the processes of a stack."""

from settings.test import *  # noqa: F403
from settings.test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.acceptance.querying"]
