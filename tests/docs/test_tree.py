"""docs/tree.md lists every file of the product with the first sentence of its header."""

from pathlib import Path

import pytest

from tests.docs.tree import PAGE, Folder, NoHeader, first_sentence, read_folders, render


def test_the_page_is_what_the_headers_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(read_folders()), "run python -m tests.docs.tree"


def test_each_file_has_a_header() -> None:
    """read_folders refuses a file without one; here, that it reads the files at all."""
    folders = {folder.path: folder for folder in read_folders()}
    assert {"catalog/", "longtasks/", "settings/", "tasks_app/", "tasks_app/queues/lua/"} <= folders.keys()
    assert folders["tasks_app/engine/"].sentence
    assert "runner.py" in folders["tasks_app/engine/"].files
    assert not any("migrations" in path or "static" in path for path in folders)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.py", '"""One line: what it does.\n\nOwns: more.\n"""\n', "One line: what it does."),
        (
            "a.py",
            '"""Two lines that are\none sentence. More.\nAnd more.\n"""\n',
            "Two lines that are one sentence. More.",
        ),
        ("a.py", '"""Without a full stop\n\nOwns: more.\n"""\n', "Without a full stop"),
        ("a.lua", "-- A script.\n-- KEYS: none.\nreturn 1\n", "A script."),
        ("a.lua", "-- A script of\n-- two lines.\n\n-- Not this.\n", "A script of two lines."),
        ("__init__.py", "", ""),
    ],
)
def test_the_first_sentence_is_read(name: str, text: str, sentence: str) -> None:
    assert first_sentence(name=name, text=text) == sentence


@pytest.mark.parametrize(("name", "text"), [("a.py", "import re\n"), ("a.lua", "return 1\n")])
def test_a_file_without_header_is_refused(name: str, text: str) -> None:
    with pytest.raises(NoHeader, match=rf"^{name}: "):
        first_sentence(name=name, text=text)


def test_folders_are_read_in_order_and_rendered(tmp_path: Path) -> None:
    for package in ("catalog", "longtasks", "settings", "tasks_app/migrations", "tasks_app/queues"):
        (tmp_path / package).mkdir(parents=True)
    (tmp_path / "tasks_app/__init__.py").write_text('"""Tasks."""\n')
    (tmp_path / "tasks_app/migrations/0001_initial.py").write_text("")
    (tmp_path / "tasks_app/queues/__init__.py").write_text('"""Queues."""\n')
    (tmp_path / "tasks_app/queues/b.py").write_text('"""Second."""\n')
    (tmp_path / "tasks_app/queues/a.py").write_text('"""First."""\n')
    folders = read_folders(tmp_path)
    assert folders == [
        Folder("tasks_app/", "Tasks.", {}),
        Folder("tasks_app/queues/", "Queues.", {"a.py": "First.", "b.py": "Second."}),
    ]
    page = render(folders)
    assert page.index("## tasks_app/\n\nTasks.\n") < page.index("## tasks_app/queues/\n\nQueues.\n\n- [a.py](")
    assert "- [a.py](../tasks_app/queues/a.py): First.\n- [b.py](../tasks_app/queues/b.py): Second.\n" in page
