"""settings.test, and the task types of these tests: for the processes of a stack that must know them."""

from settings.test import *  # noqa: F403
from settings.test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support"]
