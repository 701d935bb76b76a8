"""The functions that tests/linearity.py measures, each with the texts that cost it most time. Needs Django set up."""

from tests.linearity import Case
from tests.linearity_cases.authors import author_cases
from tests.linearity_cases.bodies import body_cases
from tests.linearity_cases.failures import failure_cases
from tests.linearity_cases.files import file_cases
from tests.linearity_cases.headers import header_cases
from tests.linearity_cases.logs import logging_cases
from tests.linearity_cases.processes import process_cases
from tests.linearity_cases.record_files import record_file_cases
from tests.linearity_cases.setting_texts import settings_cases
from tests.linearity_cases.snapshots_and_pages import other_cases
from tests.linearity_cases.task_types import task_type_cases


def make_cases() -> list[Case]:
    """Return a case for every function that receives text from outside."""
    return [
        *logging_cases(),
        *body_cases(),
        *header_cases(),
        *file_cases(),
        *settings_cases(),
        *other_cases(),
        *process_cases(),
        *record_file_cases(),
        *task_type_cases(),
        *failure_cases(),
        *author_cases(),
    ]
