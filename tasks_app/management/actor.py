"""The name of the user who runs a command, for the history and the audit."""

import getpass

UNNAMED = "cli"  # in a container, the user may have a number but no name


def find_actor() -> str:
    """Return the operating-system user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return UNNAMED
