"""The search for private parts of libraries in the project's code, on its syntax trees.

Found are, of a name with one leading underscore: an attribute of something that is not ours, `getattr` and its kin, an
import, and what a class of ours redefines or reads of a library's class; and any assignment to a library's module or object.
Ours is what the project's modules and classes have: `self`, if the class or its bases in the project define the name, and a
name that is annotated with such a class. A value of type Any may be a library's, whatever classes the file has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from settings.env import ROOT
from tests.support.private_names import (
    PACKAGES,
    Module,
    is_own,
    is_private,
    list_annotated,
    list_defined,
    list_inherited,
    list_own,
    name_library,
)

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
_GETTERS: Final = frozenset({"attrgetter", "methodcaller", "__getattribute__", "__setattr__", "__delattr__"})


@dataclass(frozen=True, slots=True)
class Reach:
    """A use of a library's private part; `library` is "" where the text does not say which."""

    path: str
    line: int
    text: str
    library: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known of a place in a file: the class around it, and the annotations of names in the functions around it."""

    inherited: Mapping[str, str]  # private names of the libraries' classes under the class, each with its library
    own: frozenset[str] = frozenset()  # private names that the class and its bases in the project define
    annotated: Mapping[str, ast.expr | None] = field(default_factory=dict)


class Finder(Module):
    """The search in one file. `sources` are all files by module name, in which the classes of the project are found."""

    def __init__(self, path: str, module: str, sources: dict[str, ast.Module]) -> None:
        super().__init__(module, sources)
        self.path = path

    def find(self) -> Iterator[Reach]:
        yield from self._find_imports()
        yield from self._visit(self.tree, Scope({}))

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

    def _visit(self, node: ast.AST, scope: Scope) -> Iterator[Reach]:
        if isinstance(node, ast.ClassDef):
            bases = [self.resolve(base) for base in node.bases]
            inherited = {
                name: library for base in bases for name, library in list_inherited(base, self.sources).items()
            }
            defined = list_defined(node)
            own = defined.union(*(list_own(base, self.sources) for base in bases))
            scope = replace(scope, inherited=inherited, own=frozenset(own))
            for name in sorted(defined & inherited.keys()):
                yield Reach(self.path, node.lineno, f"{node.name} redefines {name}", inherited[name])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            scope = replace(scope, annotated={**scope.annotated, **list_annotated(node)})
        elif isinstance(node, ast.Attribute):
            yield from self._check(node, node.value, node.attr, scope, writes=not isinstance(node.ctx, ast.Load))
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            if (target := find_attributes(node.value)) is not None:
                yield from self._check(node, target, str(node.slice.value), scope, writes=False)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _GETTERS:
            names = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            for name in names:
                yield from self._check(node, node.args[0], name.rpartition(".")[2], scope, writes=False)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _REFLECTION:
            target, name = node.args[:2]
            writes = node.func.id in ("setattr", "delattr")
            if isinstance(name, ast.Constant):
                yield from self._check(node, target, str(name.value), scope, writes=writes)
            elif writes and (self.resolve(target) or self._is_module(target)):
                yield Reach(self.path, node.lineno, ast.unparse(node), name_library(self.resolve(target)))
        for child in ast.iter_child_nodes(node):
            yield from self._visit(child, scope)

    def _check(self, node: ast.expr, value: ast.expr, name: str, scope: Scope, *, writes: bool) -> Iterator[Reach]:
        origin = self.resolve(value)
        text, library = ast.unparse(node), name_library(origin) if origin else ""
        if is_private(name):
            if {name, f"{ast.unparse(value)}.{name}"} & DOCUMENTED_READS or is_own(origin):
                return
            if ast.unparse(value) in ("self", "cls", "super()"):
                if name in scope.inherited or name not in scope.own:
                    yield Reach(self.path, node.lineno, text, scope.inherited.get(name, ""))
            elif origin or not self._is_own_value(value, name, scope):
                yield Reach(self.path, node.lineno, text, library)
        elif writes and origin and not is_own(origin) and text not in DOCUMENTED_WRITES:
            yield Reach(self.path, node.lineno, f"{text} = …", library)

    def _is_own_value(self, value: ast.expr, name: str, scope: Scope) -> bool:
        """Return whether a value is annotated with a class of the project that defines this name."""
        annotation = scope.annotated.get(value.id) if isinstance(value, ast.Name) else None
        kinds = (each for each in ast.walk(annotation or ast.Constant(None)) if isinstance(each, ast.Name))
        return any(name in list_own(self.resolve(kind), self.sources) for kind in kinds)

    def _is_module(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and any(
            isinstance(each, ast.arg)
            and each.arg == node.id
            and each.annotation
            and "Module" in ast.unparse(each.annotation)
            for each in ast.walk(self.tree)
        )


def find_attributes(node: ast.expr) -> ast.expr | None:
    """Return the object whose attributes an expression is: x of `vars(x)` and `x.__dict__`."""
    if isinstance(node, ast.Attribute) and node.attr == "__dict__":
        return node.value
    is_vars = isinstance(node, ast.Call) and ast.unparse(node.func) == "vars" and len(node.args) == 1
    return node.args[0] if is_vars and isinstance(node, ast.Call) else None


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
