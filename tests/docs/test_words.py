"""The code and the documents use the standard terms of docs/glossary.md, not the home-made words that they have replaced."""

import re
from pathlib import Path

import pytest

from settings.env import ROOT
from tests.docs.test_documents import TEXTS
from tests.support.tracked_files import list_tracked

# Their sentences are in the code: headers of files, meanings of variables, reports of measurements.
GENERATED = {"docs/benchmarks.md", "docs/load-test.md", "docs/settings.md", "docs/tree.md"}
STRUCK = (
    r"bears? repeating", r"by comma", r"mak(?:es?|ing) way", r"(?:go|goes|going|went) on(?! the)", r"tells?", r"told",
    r"strays?", r"put back", r"seldom", r"crash[ -]points?", r"the original(?:'s)?", r"patient", r"the line to Redis",
    r"small tasks?", r"shared chunks?", r"run out", r"silen(?:ce|t)", r"(?<!there )(?:is|are) no(?! longer)", r"anew",
    r"garbage(?! collection)", r"mend(?:s|ed|ing)?", r"lets? go", r"away", r"hand(?:s|ed)? over", r"swears", r"hears?",
    r"heard",
)  # fmt: skip

# In code a word may be a name or a test's value, so only what nobody writes by chance: a phrase, and what to write instead.
STRUCK_IN_CODE = {
    r"bears? repeating": "idempotent",
    r"by comma": "comma-separated",
    r"(?:make|makes|made|making) way": "preempt, is preempted",
    r"(?:go|goes|went|going) on(?! strike)": "continue",
    r"puts? back": "requeue, restore",
    r"seldom": "rarely",
    r"(?:is|are) no JSON": "is not valid JSON",
    r"there is nothing here": "Not found.",
    r"swears? by": "reports",
    r"crash points?": "failpoint",
    r"mapped_errors": "mapped_redis_errors, mapped_database_errors",
    r"Outlook": "Interruption",
    r"GaveUp|NotNow": "ShutdownRequested, RedisUnavailable",
    r"UntoldCancels?|Untold": "unpublished",
    r"LeanViewSet|LeanSerializer": "BaseViewSet, OutputSerializer",
    r"certif(?:y|ies|ied)": "report an exit",
    r"(?:redis|mysql|mariadb|database|store|infrastructure|server)s? (?:is|was|are|were|be) away": "unavailable",
}
SUFFIXES = {".py", ".lua", ".html", ".js", ".css", ".sql", ".conf", ".cfg", ".cnf", ".yml", ".yaml", ".po", ".toml"}
NOT_PRODUCT = ("tests/", "tasks_app/migrations/")


def prose_of(text: str) -> str:
    """A document without code, link targets and what it quotes."""
    without_fences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)|\"[^\"]*\"", "", without_fences)


def read_code() -> dict[str, str]:
    """The text of every product file that git knows, by its path."""
    names = [name for name in list_tracked() if not name.startswith(NOT_PRODUCT)]
    return {name: (ROOT / name).read_text() for name in names if Path(name).suffix in SUFFIXES}


def find_in_code(pattern: str) -> list[str]:
    expression = re.compile(rf"(?i)(?<![\w-])(?:{pattern})(?![\w-])")
    return [
        f"{name}:{number}: {line.strip()[:160]}"
        for name, text in read_code().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if expression.search(line)
    ]


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - GENERATED))
def test_no_document_has_a_home_made_word(name: str) -> None:
    found = re.findall(rf"(?i)(?<![\w-])(?:{'|'.join(STRUCK)})(?![\w-])", prose_of(TEXTS[name]))
    assert found == []


@pytest.mark.parametrize(("pattern", "instead"), STRUCK_IN_CODE.items(), ids=STRUCK_IN_CODE.keys())
def test_no_product_file_has_a_home_made_word(pattern: str, instead: str) -> None:
    assert len(read_code()) > 300
    assert find_in_code(pattern) == [], f"write instead: {instead}"
