"""The structure of the product's code: no `assert`, which `python -O` removes and which hides a missing type.

Owns rules that need the syntax tree of every module. Must not import the product.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PRODUCT: Final = ("longtasks", "settings", "tasks_app", "catalog")


def find_asserts(source: str, *, path: str) -> Iterator[str]:
    """Yield `path:line` of each assert statement."""
    for node in sorted(ast.walk(ast.parse(source)), key=lambda node: getattr(node, "lineno", 0)):
        if isinstance(node, ast.Assert):
            yield f"{path}:{node.lineno}"


def test_an_assert_is_found() -> None:
    assert list(find_asserts("if x:\n    assert x\nname = 'assert'\n", path="a.py")) == ["a.py:2"]


def test_the_product_has_no_assert() -> None:
    modules = [path for package in PRODUCT for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(modules) > 100
    found = [
        place
        for path in modules
        for place in find_asserts(path.read_text(encoding="utf-8"), path=str(path.relative_to(ROOT)))
    ]
    assert not found, "raise an error, or use types that need no assert: " + ", ".join(found)
