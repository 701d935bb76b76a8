"""`python -m tests.docs.tree`: writes docs/tree.md, the list of the product's files, from the header of each file.

Owns which files are listed, and the form of the page. Must not hold a sentence about a file: the file's header has it.
"""

import ast
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from settings.env import ROOT

PAGE = ROOT / "docs" / "tree.md"
PACKAGES = ("catalog", "longtasks", "settings", "tasks_app")
LEFT_OUT = {"__pycache__", "locale", "migrations", "static", "templates", "tests"}
HEAD = """# The tree, file by file

Written by `python -m tests.docs.tree` from the first sentence of each file's header; do not edit. Migrations, templates,
translations and static files are left out. How the packages depend on each other: [architecture.md](architecture.md).
"""


class NoHeader(ValueError):
    """A file of the product that does not begin with a sentence about itself."""


@dataclass(frozen=True)
class Folder:
    """One folder of the page: its path, the sentence of its `__init__.py` ("" without one) and of each file."""

    path: str
    sentence: str
    files: dict[str, str]


def first_sentence(*, name: str, text: str) -> str:
    """Return the first sentence of a file's header, on one line; "" for an empty file. Raises NoHeader."""
    if not text.strip():
        return ""
    header = (ast.get_docstring(ast.parse(text)) or "") if name.endswith(".py") else _leading_comment(text)
    lines = []
    for line in header.partition("\n\n")[0].splitlines():
        lines.append(line.strip())
        if line.rstrip().endswith((".", "?")):
            break
    if not lines:
        raise NoHeader(f"{name}: must begin with a docstring or comment that says what the file does")
    return " ".join(lines)


def _leading_comment(text: str) -> str:
    """Return the comment in which a file of SQL or Lua begins."""
    lines = takewhile(lambda line: line.startswith("--"), text.splitlines())
    return "\n".join(line.removeprefix("--").strip() for line in lines)


def read_folders(root: Path = ROOT) -> list[Folder]:
    """Read the headers of all listed files, folder by folder, in alphabetical order. Raises NoHeader."""
    folders = []
    for package in PACKAGES:
        inner = (path for path in (root / package).rglob("*") if path.is_dir())
        for folder in sorted([root / package, *inner]):
            relative = folder.relative_to(root)
            if not LEFT_OUT.isdisjoint(relative.parts):
                continue
            paths = sorted(path for path in folder.iterdir() if path.suffix in {".py", ".lua", ".sql"})
            files = {
                path.name: first_sentence(name=path.relative_to(root).as_posix(), text=path.read_text(encoding="utf-8"))
                for path in paths
            }
            sentence = files.pop("__init__.py", "")
            if files or sentence:
                folders.append(Folder(f"{relative.as_posix()}/", sentence, files))
    return folders


def render(folders: list[Folder]) -> str:
    """Return the page."""
    parts = [HEAD]
    for folder in folders:
        parts.append(f"## {folder.path}\n")
        if folder.sentence:
            parts.append(f"{folder.sentence}\n")
        if folder.files:
            parts.append(
                "\n".join(f"- [{name}](../{folder.path}{name}): {folder.files[name]}" for name in folder.files)
            )
            parts[-1] += "\n"
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(read_folders()), encoding="utf-8")
