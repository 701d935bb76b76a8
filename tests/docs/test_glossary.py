"""Each file that docs/glossary.md names as the owner of a word exists."""

import re

from settings.env import ROOT


def test_each_file_that_the_glossary_names_exists() -> None:
    page = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    paths = re.findall(r"\| `([\w/.]+)` \|$", page, re.MULTILINE)
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
