"""`python -m tests.security`: prints the matrix of doors and callers with its number of cells, then tries all of them."""

from __future__ import annotations

import os
import sys

import pytest


def main() -> int:
    os.environ |= {"DJANGO_SETTINGS_MODULE": "settings.test", "ENV_FILE": "", "MATRIX_ALL_CELLS": "1"}
    return pytest.main(["tests/security/test_matrix.py", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:logging"])


if __name__ == "__main__":
    sys.exit(main())
