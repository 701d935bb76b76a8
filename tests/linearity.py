"""Time over length of every function that receives text from a client, a task type, Redis or the database.

`python -m tests.linearity` prints the table; tests/operations/test_linearity.py holds each row to linear growth. A
new function of this kind needs a Case in tests/linearity_cases/ that names in `covers` the regular expressions that it
uses: the test finds those without a case.
"""

import ast
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("tasks_app", "longtasks", "catalog", "settings")
LENGTHS = (4_000, 16_000, 64_000, 256_000, 1_000_000)
# For four times the length: 4 is linear, 16 quadratic; 9 is three times for each doubling.
LARGEST_GROWTH = 9.0
LONGEST_SECONDS = 3.0  # for a million characters, on a busy machine and under coverage
UNSURE_SECONDS = 0.004  # below it, caches and the clock dominate
_CALLS = {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
_REGEX_CLASSES = {"RegexField", "RegexValidator"}


@dataclass(frozen=True)
class Case:
    """A function, and the texts that cost it most time: `make(length)` returns one of about that length."""

    name: str
    call: Callable[[Any], object]
    makes: dict[str, Callable[[int], Any]]
    covers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """The times of one function with one kind of text."""

    name: str
    kind: str
    seconds: tuple[float, ...]  # by LENGTHS; fewer if one took too long

    @property
    def is_linear(self) -> bool:
        steps = zip(self.seconds, self.seconds[1:], strict=False)
        return len(self.seconds) == len(LENGTHS) and all(_growth(*step) <= LARGEST_GROWTH for step in steps)

    def __str__(self) -> str:
        times = " ".join(f"{seconds * 1000:9.2f}" for seconds in self.seconds)
        return f"{self.name:<48} {self.kind:<26} {times}{'' if self.is_linear else '  GROWS'}"


def _growth(before: float, after: float) -> float:
    """Return the growth of the time between two lengths; times below the clock's resolution count as UNSURE_SECONDS."""
    return after / max(before, UNSURE_SECONDS)


def repeat(unit: str, *, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda length: before + unit * (length // len(unit)) + after


def texts(*units: str) -> dict[str, Callable[[int], str]]:
    return {repr(unit): repeat(unit) for unit in units}


def measure(case: Case, kind: str) -> Row:
    """Measure each length: the shorter of two runs, in CPU time, which excludes other processes."""
    seconds: list[float] = []
    gc.collect()
    gc.disable()  # a collection depends on all objects of the process
    try:
        for length in LENGTHS:
            times = []
            for _ in range(2):
                text = case.makes[kind](length)
                began = time.thread_time()
                case.call(text)
                times.append(time.thread_time() - began)
                if times[-1] > LONGEST_SECONDS:
                    break
            if min(times) > LONGEST_SECONDS:
                break
            seconds.append(min(times))
            if len(seconds) > 1 and _growth(*seconds[-2:]) > LARGEST_GROWTH:
                break  # the next length would take minutes
    finally:
        gc.enable()
    return Row(case.name, kind, tuple(seconds))


def find_patterns() -> set[str]:
    """Return every regular expression of the product as `file:name`; the name is its variable or its function."""
    return {
        f"{path.relative_to(ROOT)}:{name}"
        for directory in PRODUCT
        for path in (ROOT / directory).rglob("*.py")
        if "migrations" not in path.parts
        for name in _find_in(ast.parse(path.read_text()), "module", in_function=False)
    }


def _find_in(node: ast.AST, name: str, *, in_function: bool) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        name, in_function = node.name, True
    elif isinstance(node, ast.ClassDef):
        name = node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign) and not in_function:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        name = target.id if isinstance(target, ast.Name) else name
    elif isinstance(node, ast.Call):
        called = node.func
        is_re = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re"
        last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if (is_re and last in _CALLS) or last in _REGEX_CLASSES:
            yield name
    for child in ast.iter_child_nodes(node):
        yield from _find_in(child, name, in_function=in_function)


def main() -> None:
    from tests.linearity_cases import make_cases

    print(f"{'milliseconds for a text of':<75} " + " ".join(f"{length:>9,}" for length in LENGTHS))
    for case in make_cases():
        for kind in case.makes:
            print(measure(case, kind), flush=True)


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.test")
    django.setup()
    main()
