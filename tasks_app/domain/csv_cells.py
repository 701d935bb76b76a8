"""Cells of CSV files that people open in a spreadsheet: none of them is run as a formula.

Owns the apostrophe that is put before such a cell, and its removal. Must not know what the cells are.
"""

from __future__ import annotations

import re
from typing import Final

# What a spreadsheet may take for the begin of a formula, also in full width, behind apostrophes of the data's own.
_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER: Final = re.compile(r"[+-][0-9][0-9., ]{0,60}(?:[eE][+-]?[0-9]{1,4})?%?\Z")
APOSTROPHE: Final = "'"


def neutralise(cell: str) -> str:
    """Return the cell with an apostrophe before it if it begins like a formula and is no number: `'=1+1`."""
    if _FORMULA.match(cell) and not _NUMBER.match(cell):
        return APOSTROPHE + cell
    return cell


def restore(cell: str) -> str:
    """Return the cell that `neutralise` was given."""
    if cell.startswith(APOSTROPHE) and _FORMULA.match(cell):
        return cell[1:]
    return cell
