"""`python -m settings.document`: writes the table of variables into .env.example and docs/settings.md, from env.py.

Owns the format of that table. `--check` writes nothing and exits with 1 if a file differs (a test runs it).
"""

import sys
from pathlib import Path

from settings.env import ROOT, list_variables

BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"


def env_example(text: str) -> str:
    """Return the file with its head unchanged, and a block for each variable."""
    head = text.split("\n\n", 1)[0]
    blocks = [f"# {each.meaning} ({each.type})\n{each.name}={each.default}" for each in list_variables()]
    return "\n\n".join([head, *blocks]) + "\n"


def settings_page(text: str) -> str:
    """Return the page with the table between its two markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for each in list_variables():
        default = f"`{each.default}`" if each.default else ""
        rows.append(f"| `{each.name}` | {each.type} | {default} | {each.meaning.replace('|', '/')} |")
    return before + BEGIN + "\n".join(rows) + "\n" + END + after


def main(arguments: list[str]) -> int:
    stale: list[tuple[Path, str]] = []
    for path, render in ((ROOT / ".env.example", env_example), (ROOT / "docs" / "settings.md", settings_page)):
        text = path.read_text(encoding="utf-8")
        if render(text) != text:
            stale.append((path, render(text)))
    for path, text in stale:
        if "--check" in arguments:
            sys.stdout.write(f"{path.name} differs from the declared variables: run python -m settings.document\n")
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
