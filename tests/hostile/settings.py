"""settings.test with the task types of the hostile run: for the processes of a stack that must know them."""

from settings.test import *  # noqa: F403
from settings.test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support", "tests.hostile"]
