"""`python -m tests.docs.decisions`: reads the ADRs and writes the table of all of them into docs/adr/README.md.

Owns: the form of an ADR; a file without it is refused with the missing part. Must not: interpret a decision.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from settings.env import ROOT

FOLDER = ROOT / "docs" / "adr"
BEGIN, END = "<!-- decisions: begin -->\n", "<!-- decisions: end -->\n"
ATTRIBUTES = (
    "Scalability", "Performance", "Availability", "Maintainability",
    "Modifiability", "Portability", "Deployability", "Usability",
)  # fmt: skip
PARTS = ("State:", "Context.", "Decision.", "Consequences.", "Quality attributes.")


class WrongForm(ValueError):
    """An ADR that does not have the form of docs/adr/README.md."""


@dataclass(frozen=True)
class Record:
    """One ADR, as the table shows it."""

    file: str
    number: str
    title: str
    state: str
    original: tuple[str, ...]  # numbers of the design document's ADRs that it answers
    marks: Mapping[str, str]  # attribute: +, − or ±


def read_record(*, file: str, text: str) -> Record:
    """Read one ADR. Raises WrongForm."""
    heading = re.match(r"# ADR (\d{3}): (\S.*)\n", text)
    if not heading or file[1:4] != heading[1]:
        raise WrongForm(f"{file}: the first line must be '# ADR {file[1:4]}: title'")
    parts = dict(re.findall(r"^\*\*([A-Z][a-z ]+[.:])\*\* *(.*?)(?=^\*\*[A-Z][a-z ]+[.:]\*\*|\Z)", text, re.M | re.S))
    found = [part for part in parts if part in PARTS]
    if found != list(PARTS) or not all(parts[part].strip() for part in PARTS):
        raise WrongForm(f"{file}: has the parts {found}, must have, in this order and none empty, {list(PARTS)}")
    state = re.match(r"accepted|proposed|superseded by (?:\[ADR \d{3}\]\([\w.-]+\)|ADR \d{3})", parts["State:"])
    if not state:
        raise WrongForm(f"{file}: the state must begin with accepted, proposed or superseded by ADR 0NN")
    answers = re.search(r"Answers (ADR \d{3}(?:(?:, | and )ADR \d{3})*) of the design document", parts["State:"])
    original = tuple(re.findall(r"\d{3}", answers[1])) if answers else ()
    return Record(file, heading[1], heading[2], state[0], original, _read_marks(file, parts["Quality attributes."]))


def _read_marks(file: str, text: str) -> Mapping[str, str]:
    marks: dict[str, str] = {}
    for name, mark, sentence in re.findall(r"^- (\w+) \(([^)]*)\): *(.*(?:\n  .*)*)$", text, re.M):
        if name not in ATTRIBUTES or mark not in {"+", "−"} or not sentence.strip().endswith("."):
            raise WrongForm(f"{file}: '- {name} ({mark}): …' must be one of {ATTRIBUTES}, + or −, and a sentence")
        marks[name] = mark if marks.get(name, mark) == mark else "±"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("  ")]
    if not marks or any(not re.match(r"- \w+ \([+−]\): ", line) for line in lines):
        raise WrongForm(f"{file}: each quality attribute must be a line '- Performance (+): one sentence.' or (−)")
    return marks


def read_records(folder: Path = FOLDER) -> list[Record]:
    """Read all ADRs, ordered by number. Raises WrongForm, also if two have the same number."""
    files = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    records = [read_record(file=path.name, text=path.read_text(encoding="utf-8")) for path in files]
    numbers = [record.number for record in records]
    if twice := {number for number in numbers if numbers.count(number) > 1}:
        raise WrongForm(f"two ADRs have the number {', '.join(sorted(twice))}")
    return records


def render(text: str, records: list[Record]) -> str:
    """Return the document with its table between the two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [
        f"| ADR | decision | state | document | {' | '.join(ATTRIBUTES)} |",
        f"|---|---|---|---|{':-:|' * len(ATTRIBUTES)}",
    ]
    for record in records:
        marks = " | ".join(record.marks.get(name, "") for name in ATTRIBUTES)
        link, original = f"[{record.number}]({record.file})", ", ".join(record.original)
        rows.append(f"| {link} | {record.title.replace('|', '/')} | {record.state} | {original} | {marks} |")
    return before + BEGIN + "\n".join(rows) + "\n" + END + after


if __name__ == "__main__":
    page = FOLDER / "README.md"
    try:
        page.write_text(render(page.read_text(encoding="utf-8"), read_records()), encoding="utf-8")
    except WrongForm as error:
        sys.exit(str(error))
