"""The documents use the standard terms of docs/glossary.md and not the home-made words that they have replaced."""

import re

import pytest

from tests.docs.test_documents import TEXTS

# Their sentences are in the code: headers of files, meanings of variables, reports of measurements.
GENERATED = {"docs/benchmarks.md", "docs/load-test.md", "docs/settings.md", "docs/tree.md"}
STRUCK = (
    r"bears? repeating", r"by comma", r"mak(?:es?|ing) way", r"(?:go|goes|going|went) on(?! the)", r"tells?", r"told",
    r"strays?", r"put back", r"seldom", r"crash[ -]points?", r"the original(?:'s)?", r"patient", r"the line to Redis",
    r"small tasks?", r"shared chunks?", r"run out", r"silen(?:ce|t)", r"(?<!there )(?:is|are) no(?! longer)", r"anew",
    r"garbage(?! collection)", r"mend(?:s|ed|ing)?", r"lets? go", r"away", r"hand(?:s|ed)? over", r"swears", r"hears?",
    r"heard",
)  # fmt: skip


def prose_of(text: str) -> str:
    """A document without code, link targets and what it quotes."""
    without_fences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)|\"[^\"]*\"", "", without_fences)


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - GENERATED))
def test_no_home_made_word_is_left(name: str) -> None:
    found = re.findall(rf"(?i)(?<![\w-])(?:{'|'.join(STRUCK)})(?![\w-])", prose_of(TEXTS[name]))
    assert found == []
