"""`manage.py task new` refuses names, models and places that cannot work, and overwrites nothing."""

from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.core.management import CommandError, call_command

from catalog.models import OrderItem, User
from tasks_app.management.new_type import CannotMakeType, check_name, render, to_class_name
from tasks_app.management.new_type_files import find_places, write_files


class Place(AppConfig):
    """An application in a folder of the test."""

    label, name = "crm", "crm"

    def __init__(self, folder: Path) -> None:
        self.path = str(folder)


def write(folder: Path, name: str = "one") -> list[Path]:
    places = find_places(Place(folder), name=name, class_name=name.capitalize())
    return write_files(places, type_source="# type\n", test_source="# test\n")


@pytest.mark.parametrize(
    "name", ["", "Normalise", "1st", "a-b", "a b", "a.b", "class", "naïve", "../x", "a" * 65, "x\n"]
)
def test_a_name_that_is_none_of_a_module_is_refused(name: str) -> None:
    with pytest.raises(CannotMakeType, match="is not a name for a task type and its module"):
        check_name(name)


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(CannotMakeType, match="There is a task type upload already"):
        check_name("upload")


def test_the_class_has_another_name_than_the_model() -> None:
    assert to_class_name("normalise_phones", model=User) == "NormalisePhones"
    assert to_class_name("user", model=User) == "UserTask"


def test_a_back_fill_changes_a_text_if_there_is_one() -> None:
    of_type, _ = render("backfill", name="a", model=User)
    assert "row.first_name = row.first_name.strip()" in of_type
    assert 'bulk_update(rows, ["first_name"])' in of_type


def test_a_clean_up_needs_a_time_so_that_it_does_not_delete_everything() -> None:
    of_type, of_test = render("cleanup", name="a", model=OrderItem)
    assert "before: datetime.datetime\n" in of_type
    assert "filter(ordered_at__lt=params.before)" in of_type
    assert "import datetime\n" in of_test


def test_the_first_type_makes_the_package(tmp_path: Path) -> None:
    assert write(tmp_path) == [
        tmp_path / "task_types" / "one.py",
        tmp_path / "task_types" / "__init__.py",
        tmp_path / "tests" / "test_one.py",
    ]
    assert (tmp_path / "tests" / "__init__.py").exists()
    assert (tmp_path / "task_types" / "__init__.py").read_text() == (
        '"""The task types of crm. Importing this package registers them all."""\n\n'
        "from crm.task_types.one import One as One\n"
    )


def test_the_next_type_is_imported_behind_the_others(tmp_path: Path) -> None:
    write(tmp_path)
    init = tmp_path / "task_types" / "__init__.py"
    init.write_text(init.read_text() + "\nVALUE = 1\n")
    write(tmp_path, "two")
    assert init.read_text().splitlines()[2:] == [
        "from crm.task_types.one import One as One",
        "from crm.task_types.two import Two as Two",
        "",
        "VALUE = 1",
    ]


@pytest.mark.parametrize("text", ["", "# a comment\n", '"""A docstring\nof two lines."""', "import os\n"])
def test_the_import_is_added_to_any_package(tmp_path: Path, text: str) -> None:
    (tmp_path / "task_types").mkdir()
    init = tmp_path / "task_types" / "__init__.py"
    init.write_text(text)
    write(tmp_path)
    compile(init.read_text(), str(init), "exec")
    assert "\nfrom crm.task_types.one import One as One\n" in f"\n{init.read_text()}"
    assert text.strip() in init.read_text()


def test_a_package_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "task_types").mkdir()
    (tmp_path / "task_types" / "__init__.py").write_text("import\n")
    with pytest.raises(CannotMakeType, match=r"__init__\.py: line 1: "):
        write(tmp_path)


def test_beside_a_module_of_tests_the_test_is_a_module_too(tmp_path: Path) -> None:
    """As `startapp` has it; a folder would hide the module."""
    (tmp_path / "tests.py").touch()
    assert write(tmp_path)[-1] == tmp_path / "test_one.py"
    assert not (tmp_path / "tests").exists()


def test_a_module_of_task_types_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "task_types.py").touch()
    with pytest.raises(CannotMakeType, match=r"move it to .*task_types/__init__\.py, then try again"):
        write(tmp_path)


@pytest.mark.parametrize("taken", ["task_types/one.py", "tests/test_one.py"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).parent.mkdir()
    (tmp_path / taken).write_text("mine\n")
    with pytest.raises(CannotMakeType, match="exists and is not overwritten"):
        write(tmp_path)
    assert (tmp_path / taken).read_text() == "mine\n"
    assert [path.name for path in tmp_path.rglob("*.py")] == [Path(taken).name]


def test_an_installed_package_is_not_written_to() -> None:
    with pytest.raises(CannotMakeType, match=r"auth is an installed package .* name one of your own by --app"):
        find_places(apps.get_app_config("auth"), name="one", class_name="One")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nothing.Customer", "There is no application 'nothing' in INSTALLED_APPS"),
        ("catalog", "There is no model catalog. The models of catalog: catalog.ArchivedOrderItem, "),
        ("catalog.Customer", "There is no model catalog.Customer. The models of catalog: catalog.ArchivedOrderItem, "),
        ("auth.User", "--app"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(model: str, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("task", "new", "one", "--backfill", model)
    assert words in str(caught.value)
    assert caught.value.returncode == 2


@pytest.mark.parametrize("words", [[], ["--backfill", "catalog.User", "--export", "catalog.User"]])
def test_one_kind_is_needed(words: list[str], capsys: Any) -> None:
    with pytest.raises(CommandError):
        call_command("task", "new", "one", *words)
