"""The English and the Spanish catalogue: every text of the code is in them, translated and compiled."""

import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from settings.env import ROOT

APPS = ("tasks_app", "catalog")
LANGUAGES = ("en", "es")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")


def catalogue(app: str, language: str) -> Path:
    return ROOT / app / "locale" / language / "LC_MESSAGES" / "django.mo"


def read(path: Path) -> dict[object, str]:
    with path.open("rb") as file:
        return {key: value for key, value in gettext.GNUTranslations(file)._catalog.items() if key}  # type: ignore[attr-defined]


@pytest.mark.parametrize("app", APPS)
def test_both_languages_have_the_same_words(app: str) -> None:
    words = [{key if isinstance(key, str) else key[0] for key in read(catalogue(app, lang))} for lang in LANGUAGES]
    assert words[0] == words[1]
    assert len(words[0]) > 30


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_is_translated_with_its_placeholders(app: str, language: str) -> None:
    for key, value in read(catalogue(app, language)).items():
        word = key if isinstance(key, str) else key[0]
        assert value, word
        assert sorted(PLACEHOLDER.findall(value)) == sorted(PLACEHOLDER.findall(word)), word


@pytest.mark.skipif(not shutil.which("msgfmt"), reason="gettext's tools are not installed")
@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_equals_its_source(app: str, language: str, tmp_path: Path) -> None:
    written = catalogue(app, language).with_suffix(".po")
    subprocess.run(["msgfmt", "--check-format", "-o", tmp_path / "django.mo", written], check=True)
    assert read(tmp_path / "django.mo") == read(catalogue(app, language)), "run make messages"


@pytest.mark.skipif(not shutil.which("xgettext"), reason="gettext's tools are not installed")
@pytest.mark.parametrize("app", APPS)
def test_every_word_of_the_code_is_in_the_catalogues(app: str, tmp_path: Path) -> None:
    copy = tmp_path / app
    shutil.copytree(ROOT / app, copy, ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    subprocess.run(
        [sys.executable, "-P", "-m", "django", "makemessages", "-l", "es", "--no-location", "--no-obsolete"],
        cwd=copy,
        env={"PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
    )
    after = (copy / "locale/es/LC_MESSAGES/django.po").read_text()
    untranslated = re.findall(r'^msgid (".+"(?:\n".*")*)\nmsgstr ""\n(?!")', after, re.MULTILINE)
    assert untranslated == []
    assert "#, fuzzy" not in after
