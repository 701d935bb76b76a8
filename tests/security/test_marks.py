"""Every setting of text has a mark or is harmless, and marks are found in every form."""

from __future__ import annotations

import json
from dataclasses import fields
from urllib.parse import quote

from settings.env import Longtasks, Process, list_variables
from tests.security.marks import HARMLESS, MARKED, ODD, Marks


def test_every_setting_of_text_is_marked_or_known_to_be_harmless() -> None:
    texts = {each.name for each in list_variables() if each.type in ("str", "list", "path")}
    unsaid = texts - HARMLESS - set(MARKED)
    assert not unsaid, f"Say in tests/security/marks.py whether they hold secrets: {sorted(unsaid)}"
    assert texts >= HARMLESS
    assert len(fields(Longtasks)) + len(fields(Process)) == len(list_variables())


def test_marks_are_found_in_every_form() -> None:
    marks = Marks()
    secret = marks.make("password", odd=ODD)
    import base64

    forms = [secret, quote(secret, safe=""), repr(secret), json.dumps(secret), secret.encode().hex(), secret[-20:]]
    forms += [base64.b64encode(f"{user}:{secret}".encode()).decode() for user in ("a", "ab", "abc")]
    for form in forms:
        assert marks.find({"a log": f"before {form} after"}), form
    assert not marks.find({"a log": "before m4rk after"})
