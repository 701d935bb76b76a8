"""The search for private parts of libraries in the project's code, on its syntax trees.

Found are, of a name with one leading underscore: an attribute of something that is not ours, `getattr` and its kin, an
import, and what a class of ours redefines or reads of a library's class; and any assignment to a library's module or object.
Ours is what a class of the same file defines, and what an imported module or class of the project has.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from settings.env import ROOT

PACKAGES: Final = ("longtasks", "settings", "tasks_app", "catalog", "loadtests")
# Documented in spite of the underscore: https://docs.djangoproject.com/en/5.2/ref/models/meta/ and os.html#os._exit.
DOCUMENTED_READS: Final = frozenset({"_meta", "os._exit"})
# Documented as there to be assigned.
DOCUMENTED_WRITES: Final = frozenset(
    {
        *("sys.argv", "sys.excepthook", "sys.unraisablehook", "sys.displayhook", "threading.excepthook"),
        *("sys.stdin", "sys.stdout", "sys.stderr", "os.environ", "warnings.showwarning"),
        *("admin.site.login_form", "admin.site.index_template", "admin.site.index_title"),
    }
)
_REFLECTION: Final = frozenset({"getattr", "setattr", "hasattr", "delattr"})


@dataclass(frozen=True, slots=True)
class Reach:
    """A use of a library's private part; `library` is "" where the text does not say which."""

    path: str
    line: int
    text: str
    library: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def name_library(module: str) -> str:
    first = module.split(".", maxsplit=1)[0]
    return "python" if first in sys_stdlib() else first


@cache
def sys_stdlib() -> frozenset[str]:
    return sys.stdlib_module_names | {"builtins"}


class Finder:
    """The search in one file. `sources` are all files by module name, in which the classes of the project are found."""

    def __init__(self, path: str, module: str, sources: dict[str, ast.Module]) -> None:
        self.path, self.module, self.sources = path, module, sources
        self.tree = sources[module]
        self.imports = dict(list_imports(self.tree, module))
        for node in ast.walk(self.tree):  # another name for an imported module
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Name):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name) and node.value.id in self.imports:
                        self.imports[target.id] = self.imports[node.value.id]
        self.own = {
            name for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef) for name in list_defined(node)
        }

    def find(self) -> Iterator[Reach]:
        yield from self._find_imports()
        yield from self._visit(self.tree, frozenset())

    def _find_imports(self) -> Iterator[Reach]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                if any(map(is_private, name.split("."))) and not is_own(name):
                    yield Reach(self.path, node.lineno, f"import of {name}", name_library(name))

    def _visit(self, node: ast.AST, inherited: frozenset[tuple[str, str]]) -> Iterator[Reach]:
        if isinstance(node, ast.ClassDef):
            inherited = frozenset(
                (name, library)
                for base in node.bases
                for name, library in list_inherited(self._resolve(base), self.sources).items()
            )
            for name in sorted(list_defined(node)):
                if library := dict(inherited).get(name):
                    yield Reach(self.path, node.lineno, f"{node.name} redefines {name}", library)
        elif isinstance(node, ast.Attribute):
            yield from self._check(
                node, node.value, node.attr, dict(inherited), writes=not isinstance(node.ctx, ast.Load)
            )
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _REFLECTION:
            target, name = node.args[:2]
            writes = node.func.id in ("setattr", "delattr")
            if isinstance(name, ast.Constant):
                yield from self._check(node, target, str(name.value), dict(inherited), writes=writes)
            elif writes and (self._resolve(target) or self._is_module(target)):
                yield Reach(self.path, node.lineno, ast.unparse(node), name_library(self._resolve(target)))
        for child in ast.iter_child_nodes(node):
            yield from self._visit(child, inherited)

    def _check(
        self, node: ast.Attribute | ast.Call, value: ast.expr, name: str, inherited: dict[str, str], *, writes: bool
    ) -> Iterator[Reach]:
        origin = self._resolve(value)
        text, library = ast.unparse(node), name_library(origin) if origin else ""
        if is_private(name):
            if {name, f"{ast.unparse(value)}.{name}"} & DOCUMENTED_READS or is_own(origin):
                return
            if ast.unparse(value) in ("self", "cls", "super()"):
                if name in inherited:
                    yield Reach(self.path, node.lineno, text, inherited[name])
            elif origin or name not in self.own:
                yield Reach(self.path, node.lineno, text, library)
        elif writes and origin and not is_own(origin) and text not in DOCUMENTED_WRITES:
            yield Reach(self.path, node.lineno, f"{text} = …", library)

    def _resolve(self, node: ast.expr) -> str:
        """Return where an expression's name comes from: "redis.client.Redis"; "" if it is no imported name."""
        if isinstance(node, ast.Subscript):
            return self._resolve(node.value)
        if isinstance(node, ast.Attribute):
            found = self._resolve(node.value)
            return f"{found}.{node.attr}" if found else ""
        if isinstance(node, ast.Name):
            if node.id in self.imports:
                return self.imports[node.id]
            is_class = any(isinstance(each, ast.ClassDef) and each.name == node.id for each in self.tree.body)
            return f"{self.module}.{node.id}" if is_class else ""
        return ""

    def _is_module(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and any(
            isinstance(each, ast.arg)
            and each.arg == node.id
            and each.annotation
            and "Module" in ast.unparse(each.annotation)
            for each in ast.walk(self.tree)
        )


def is_own(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in PACKAGES


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


def list_inherited(origin: str, sources: dict[str, ast.Module]) -> dict[str, str]:
    """Return the private names of the libraries' classes under a base class, each with its library."""
    if not origin:
        return {}
    if not is_own(origin):
        return list_private_names(origin)
    module, _, name = origin.rpartition(".")
    if module not in sources:
        return {}
    finder = Finder("", module, sources)
    found: dict[str, str] = {}
    for node in finder.tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for base in node.bases:
                found |= list_inherited(finder._resolve(base), sources)
        elif name in finder.imports and finder.imports[name] != origin:  # a package that exports the class
            return list_inherited(finder.imports[name], sources)
    return found


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


def read_sources() -> dict[str, tuple[str, ast.Module]]:
    found = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT)
            module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            found[module] = (str(path), ast.parse(file.read_text()))
    return found


def find_in_project() -> list[Reach]:
    files = read_sources()
    sources = {module: tree for module, (_, tree) in files.items()}
    return [reach for module, (path, _) in files.items() for reach in Finder(path, module, sources).find()]
