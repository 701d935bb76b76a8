"""The private names in the project's classes: which class defines them, in the project or in a library under it.

Owns how a name in a file is traced to where it comes from, through imports and base classes.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Final

PACKAGES: Final = ("longtasks", "settings", "tasks_app", "catalog", "loadtests")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def name_library(module: str) -> str:
    first = module.split(".", maxsplit=1)[0]
    return "python" if first in sys_stdlib() else first


@cache
def sys_stdlib() -> frozenset[str]:
    return sys.stdlib_module_names | {"builtins"}


def is_own(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in PACKAGES


class Module:
    """The names of one file. `sources` are all files by module name, in which the classes of the project are found."""

    def __init__(self, module: str, sources: dict[str, ast.Module]) -> None:
        self.module, self.sources = module, sources
        self.tree = sources[module]
        self.imports = dict(list_imports(self.tree, module))
        for node in ast.walk(self.tree):  # another name for an imported module
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Name):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name) and node.value.id in self.imports:
                        self.imports[target.id] = self.imports[node.value.id]

    def resolve(self, node: ast.expr) -> str:
        """Return where an expression's name comes from: "redis.client.Redis"; "" if it is no imported name."""
        if isinstance(node, ast.Subscript):
            return self.resolve(node.value)
        if isinstance(node, ast.Attribute):
            found = self.resolve(node.value)
            return f"{found}.{node.attr}" if found else ""
        if isinstance(node, ast.Name):
            if node.id in self.imports:
                return self.imports[node.id]
            is_class = any(isinstance(each, ast.ClassDef) and each.name == node.id for each in self.tree.body)
            return f"{self.module}.{node.id}" if is_class else ""
        return ""


def list_imports(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            origin = (
                f"{module.rsplit('.', node.level)[0]}.{node.module or ''}".rstrip(".") if node.level else node.module
            )
            for alias in node.names:
                yield alias.asname or alias.name, f"{origin}.{alias.name}"


def list_defined(node: ast.ClassDef) -> set[str]:
    """Return the private names that a class defines: methods, attributes, and what its methods set on self."""
    found = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    for each in ast.walk(node):
        if (
            isinstance(each, ast.Attribute)
            and isinstance(each.ctx, ast.Store)
            and ast.unparse(each.value) in ("self", "cls")
        ):
            found.add(each.attr)
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return set(filter(is_private, found))


def list_annotated(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> dict[str, ast.expr | None]:
    """Return the annotations of a function's arguments and variables; those in quotes are parsed."""
    found = {each.arg: each.annotation for each in ast.iter_child_nodes(function.args) if isinstance(each, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node.annotation
    return {
        name: ast.parse(each.value, mode="eval").body
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
        else each
        for name, each in found.items()
    }


def find_class(origin: str, sources: dict[str, ast.Module]) -> tuple[ast.ClassDef, list[str]] | None:
    """Return a class of the project and the names of its bases; None if it is not found."""
    module, _, name = origin.rpartition(".")
    if module not in sources:
        return None
    names = Module(module, sources)
    for node in names.tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node, [names.resolve(base) for base in node.bases]
    exported = names.imports.get(name, origin)  # by a package
    return None if exported == origin else find_class(exported, sources)


def list_inherited(origin: str, sources: dict[str, ast.Module]) -> dict[str, str]:
    """Return the private names of the libraries' classes under a base class, each with its library."""
    if origin and not is_own(origin):
        return list_private_names(origin)
    _, bases = find_class(origin, sources) or (None, [])
    return {name: library for base in bases for name, library in list_inherited(base, sources).items()}


def list_own(origin: str, sources: dict[str, ast.Module]) -> set[str]:
    """Return the private names that a class of the project and its bases in the project define."""
    if (found := find_class(origin, sources)) is None:
        return set()
    node, bases = found
    return list_defined(node).union(*(list_own(base, sources) for base in bases))


@cache
def list_private_names(origin: str) -> dict[str, str]:
    """Import a library's class, and return the private names of it and its bases."""
    parts = origin.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
            for part in parts[length:]:
                found = getattr(found, part)
            break
        except (ImportError, AttributeError):
            continue
    else:
        return {}
    names: dict[str, str] = {}
    for kind in reversed(inspect.getmro(found)) if isinstance(found, type) else ():
        defined = set(filter(is_private, vars(kind)))
        try:
            [tree] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
            defined |= list_defined(tree) if isinstance(tree, ast.ClassDef) else set()
        except (OSError, TypeError, SyntaxError):
            pass  # written in C
        names |= dict.fromkeys(defined, name_library(kind.__module__))
    return names
