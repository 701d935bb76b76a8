"""The file `.env`: each line has the meaning that compose and python-dotenv give it, or is refused without its value."""

import subprocess
import sys
from pathlib import Path

import pytest

from settings.env import ROOT
from settings.env_file import RefusedFile, read_env_file
from tests.settings.good_production import GOOD_PRODUCTION, import_settings

MARK = "m4rkedsecret"
URL = "mysql://user:p@host:3306/name"


def read(tmp_path: Path, data: bytes | str) -> dict[str, str]:
    path = tmp_path / "file.env"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_env_file(path)


@pytest.mark.parametrize(
    "line",
    [
        f"NAME={URL}",
        f"NAME = {URL}",
        f"  NAME={URL}",
        f"\tNAME\t=\t{URL}  ",
        f"\ufeffNAME={URL}",
        f"NAME={URL}\r\n",
        f"export NAME={URL}",
        f"  export   NAME = '{URL}'",
        f'NAME="{URL}"',
        f"NAME={URL} # the main one",
        f"NAME='{URL}' # the main one",
        f'NAME="{URL}"\t# the main one',
        f"\n# a comment\n   # another\n\nNAME={URL}",
    ],
)
def test_equivalent_lines_give_the_same_value(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, line) == {"NAME": URL}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("''", ""),
        ("a#b", "a#b"),
        ("a b  c", "a b  c"),
        ("a=b", "a=b"),
        ("'a$b'", "a$b"),
        ("'a\"b\\c # d'", 'a"b\\c # d'),
        ('"a\\"b\\\\c # d\'"', "a\"b\\c # d'"),
        ("b\u00fccher", "b\u00fccher"),
    ],
)
def test_each_form_of_a_value_is_read(tmp_path: Path, text: str, value: str) -> None:
    assert read(tmp_path, f"NAME={text}\n") == {"NAME": value}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"{MARK}", "not NAME=value"),
        (f"NAME: {MARK}", "not NAME=value"),
        (f"NA ME={MARK}", "not NAME=value"),
        (f"1NAME={MARK}", "not NAME=value"),
        (f"={MARK}", "not NAME=value"),
        (f"\u00a0NAME={MARK}", "non-printable characters"),
        (f"NAME={MARK}\0", "non-printable characters"),
        (f"NAME={MARK}\rOTHER=1", "non-printable characters"),
        (f"NAME=\u200b{MARK}", "non-printable characters"),
        (f"NAME='{MARK}", "no closing '"),
        (f"NAME='{MARK}'s", "no closing '"),
        (f'NAME="{MARK}', 'no closing "'),
        (f'NAME="{MARK}"#x', 'no closing "'),
        (f'NAME="{MARK}\\n"', "a \\\\ before another"),
        (f"NAME='{MARK}\\\\'", "holds a \\\\\\\\"),
        (f"NAME={MARK}'x", "holds a quote"),
        (f"NAME={MARK}\\x", "holds a quote"),
        (f"NAME=#{MARK}", "begins with #"),
        (f"NAME= # {MARK}", "begins with #"),
        (f"NAME={MARK}$x", "holds a \\$"),
        (f'NAME="${{{MARK}}}"', "holds a \\$"),
        (f"NAME={MARK}\nNAME=2", "is already set in line 2"),
        (f"NAME={MARK}".encode() + b"\xff", "not UTF-8"),
        (f"NAME={MARK}".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_refused_line_is_named_without_its_value(tmp_path: Path, line: str | bytes, why: str) -> None:
    before = b"FIRST=1\n"
    with pytest.raises(RefusedFile, match=rf"file\.env, line [23], is refused: .*{why}") as refusal:
        read(tmp_path, before + (line.encode() if isinstance(line, str) else line))
    assert MARK not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RefusedFile, match="is not a file"):
            read_env_file(path)
    with pytest.raises(RefusedFile, match="at most"):
        read(tmp_path, "#" * 300_000)


@pytest.mark.parametrize(
    "line", ["{name} = {value}", "   {name}={value}", "\ufeff{name}={value}\r", "export {name}='{value}'"]
)
def test_production_reads_unusual_forms_of_a_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(line.format(name="DATABASE_URL", value=f"mysql://u:{MARK}@db:3307/things") + "\n")
    environment = {name: value for name, value in GOOD_PRODUCTION.items() if name != "DATABASE_URL"}
    ended = import_settings("settings.production", environment | {"ENV_FILE": str(path)})
    assert ended.returncode == 0, ended.stderr
    assert "'NAME': 'things'" in ended.stdout
    assert MARK not in ended.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "DATABSE_URL=mysql://u:m4rkedsecret@db/x",
            "DATABSE_URL in {path} is not a variable of longtasks. Did you mean DATABASE_URL",
        ),
        ("LEASE=m4rkedsecret", "LEASE in {path} is not a variable of longtasks"),
        ("DJANGO_SETTINGS_MODULE=settings.production", "DJANGO_SETTINGS_MODULE has no effect in {path}"),
        ("DATABASE_URL mysql://u:m4rkedsecret@db/x", "{path}, line 1, is refused: it is not NAME=value"),
    ],
)
def test_no_line_is_ignored_silently(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / ".env"
    path.write_text(line)
    ended = import_settings("settings.development", {"ENV_FILE": str(path), "DATA_DIR": str(tmp_path)})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"manage.py: {said.format(path=path)}")
    assert ended.stderr.count("\n") == 1
    assert MARK not in ended.stderr + ended.stdout


def test_unrelated_variables_reach_the_environment(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("OTEL_SERVICE_NAME=here\nOTEL_TRACES_SAMPLER=file\nLOG_LEVEL=ERROR\n")
    code = (
        "import os; from settings.env import load; print(load().process.log_level, "
        "[os.environ.get(name) for name in ('OTEL_SERVICE_NAME', 'OTEL_TRACES_SAMPLER', 'LOG_LEVEL')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"ENV_FILE": str(path), "OTEL_TRACES_SAMPLER": "environment"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # The variables of longtasks are read from the file at each start: a change takes effect after a reload.
    assert shown.stdout == "ERROR ['here', 'environment', None]\n"


@pytest.mark.parametrize(
    ("text", "environment", "wanted"),
    [
        (f"DATABASE_URL = '{URL}'  # ours", {}, ".venv/.full"),
        (f"  export DATABASE_URL={URL}", {}, ".venv/.full"),
        ("DATABASE_URL=mariadb://host/x", {}, ".venv/.full"),
        (f"# DATABASE_URL={URL}", {}, ".venv/.embedded"),
        ("DATABASE_URL=", {"DATABASE_URL": URL}, ".venv/.full"),
        (f"DATABASE_URL={URL}", {"DATABASE_URL": "sqlite:////x"}, ".venv/.embedded"),
        (f"DATABASE_URL={URL}", {"ENV_FILE": ""}, ".venv/.embedded"),
    ],
)
def test_make_reads_the_same_file(tmp_path: Path, text: str, environment: dict[str, str], wanted: str) -> None:
    path = tmp_path / ".env"
    path.write_text(text)
    (tmp_path / "ask.mk").write_text("ask:\n\t@echo $(runtime)\n")
    shown = subprocess.run(
        ["make", "-s", "-f", "Makefile", "-f", str(tmp_path / "ask.mk"), "ask", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "ENV_FILE": str(path)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stdout.strip() == wanted
