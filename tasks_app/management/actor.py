"""Who runs a command, for the history and the audit."""

import getpass

UNNAMED = "cli"  # a container's user may have a number only


def find_actor() -> str:
    """Return the name of the operating system's user that runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return UNNAMED
