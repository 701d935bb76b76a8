"""Words of the house that were replaced by the field's own: none comes back.

The list is of phrases that a reader of docs/glossary.md would not find there. A word that is on the wire (the API's cause
`yield`, the setting CRASH_POINTS) is not in it.
"""

import re
import subprocess
from pathlib import Path

import pytest

from settings.env import ROOT

# Phrase (a regular expression, any case) and what to write instead.
STRUCK = {
    r"bears? repeating": "idempotent",
    r"\bby comma\b": "comma-separated",
    r"\b(?:make|makes|made|making) way\b": "preempt, is preempted",
    r"\b(?:go|goes|went|going) on\b(?! strike)": "continue, continues",
    r"\bgive[sn]? heed\b": "obey",
    r"\bputs? back\b": "requeue, restore",
    r"\bseldom\b": "rarely",
    r"\bis no JSON\b|\bare no JSON\b": "is not valid JSON",
    r"\bthere is nothing here\b": "Not found.",
    r"\bswears? by\b": "reports",
    r"\bcrash points?\b": "failpoint",
    r"\bmapped_errors\b": "mapped_redis_errors, mapped_database_errors",
    r"\b(?:Patient|Together) ?Worker\b": "",
    r"\bOutlook\b|\bVerdict\b": "Interruption",
    r"\bGaveUp\b|\bNotNow\b": "ShutdownRequested, RedisUnavailable",
    r"\bUntoldCancels?\b": "UnpublishedCancels",
    r"\bLeanViewSet\b|\bLeanSerializer\b": "BaseViewSet",
    r"\bcertif(?:y|ies|ied)\b": "report an exit",
    r"\b(?:redis|mysql|mariadb|database|store|infrastructure|server)s? (?:is|was|are|were|be) away\b": "unavailable",
}
SUFFIXES = {".py", ".lua", ".md", ".html", ".js", ".css", ".sql", ".conf", ".yml", ".yaml", ".po", ".toml", ".cfg"}
SELF = Path(__file__).relative_to(ROOT)


def list_texts() -> list[Path]:
    shown = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    paths = [Path(line) for line in shown.stdout.splitlines()]
    return [path for path in paths if path.suffix in SUFFIXES and path != SELF and "migrations" not in path.parts]


def find(pattern: str) -> list[str]:
    expression = re.compile(pattern, re.IGNORECASE)
    return [
        f"{path}:{number}: {line.strip()[:160]}"
        for path in list_texts()
        for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1)
        if expression.search(line)
    ]


@pytest.mark.parametrize(("pattern", "instead"), STRUCK.items(), ids=STRUCK.keys())
def test_a_struck_word_does_not_come_back(pattern: str, instead: str) -> None:
    assert find(pattern) == [], f"write instead: {instead}"
