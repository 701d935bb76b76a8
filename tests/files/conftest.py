"""The storage of the tests of files."""

from tests.support.stored_files import folder

__all__ = ["folder"]
