"""settings.test with the task types of the hostile run: for the processes of a stack that must know them."""

from settings.test import *  # noqa: F403
from settings.test import INSTALLED_APPS
from tasks_app import database_errors

INSTALLED_APPS = [*INSTALLED_APPS, "tests.engine", "tests.hostile"]

# A chunk that the database refuses is tried for so long, where that may be the chunk's own fault: two minutes in earnest.
database_errors.SUSPECT_SECONDS = 2.0  # type: ignore[misc]
