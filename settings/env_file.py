"""Reads the file `.env`. It accepts only lines that docker compose and python-dotenv read in the same way.

Owns the file's grammar (docs/settings.md). Must not repeat a value in an error. Must import only the standard library,
because the Makefile runs it before anything is installed: `python3 -P settings/env_file.py DATABASE_URL`.
"""

import os
import re
import sys
from pathlib import Path

FILE_BYTES = 256 * 1024
_LINE = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(?P<value>.*)")
_SINGLE = re.compile(r"'(?P<value>[^']*)'(?:[ \t]+#.*)?")
_DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]++|\\.)*+)"(?:[ \t]+#.*)?')
_ESCAPE = re.compile(r"\\(.)")
_COMMENT = re.compile(r"(?<![ \t])[ \t]++#.*")


class RefusedFile(ValueError):
    """The file is invalid; the message is one line with the line's number and without its value."""


def read_env_file(path: Path) -> dict[str, str]:
    """Return the file's variables. Raises RefusedFile."""
    if not path.is_file():
        raise RefusedFile(f"{path} is not a file: create it, or set ENV_FILE to another one (empty: none).")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RefusedFile(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > FILE_BYTES:
        raise RefusedFile(f"{path} has {len(data)} bytes: at most {FILE_BYTES} are allowed.")
    variables: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            pair = _read_line(line.removesuffix(b"\r"))
            if pair is None:
                continue
            name, value = pair
            if name in variables:
                raise RefusedFile(f"{name} is already set in line {lines[name]}")
        except RefusedFile as refusal:
            raise RefusedFile(f"{path}, line {number}, is refused: {refusal}.") from None
        variables[name], lines[name] = value, number
    return variables


def _read_line(data: bytes) -> tuple[str, str] | None:
    try:
        text = data.decode().strip(" \t")
    except UnicodeDecodeError:
        raise RefusedFile("it is not UTF-8") from None
    if not text or text.startswith("#"):
        return None
    if not text.replace("\t", " ").isprintable():
        raise RefusedFile("it holds non-printable characters")
    line = _LINE.fullmatch(text)
    if line is None:
        raise RefusedFile("it is not NAME=value")
    name, value = line["name"], line["value"]
    try:
        return name, _read_value(value)
    except RefusedFile as refusal:
        raise RefusedFile(f"the value of {name} {refusal}") from None


def _read_value(text: str) -> str:
    """Return a value as both compose and python-dotenv read it. Raises RefusedFile if they differ on it."""
    if text.startswith("'"):
        single = _SINGLE.fullmatch(text)
        if single is None:
            raise RefusedFile("has no closing ' at its end, or one in its middle")
        if re.search(r"\\(\\|$)", single["value"]):
            raise RefusedFile("holds a \\\\ or ends with a \\: write it in double quotes, each \\ twice")
        return single["value"]
    if text.startswith('"'):
        double = _DOUBLE.fullmatch(text)
        if double is None:
            raise RefusedFile('has no closing " at its end, or one in its middle: write " as \\"')
        if any(escaped not in '\\"' for escaped in _ESCAPE.findall(double["value"])):
            raise RefusedFile('holds a \\ before another character than \\ and ": write \\\\, or use single quotes')
        value = _ESCAPE.sub(r"\1", double["value"])
    else:
        value = _COMMENT.sub("", text).rstrip(" \t")
        if value.startswith("#"):
            raise RefusedFile("begins with #: put it in single quotes, or put the comment on its own line")
        if "'" in value or '"' in value or "\\" in value:
            raise RefusedFile("holds a quote or a \\: put the whole value in quotes")
    if "$" in value:
        raise RefusedFile("holds a $, which other tools expand: put the value in single quotes")
    return value


def main(arguments: list[str]) -> int:
    """Print only the scheme of a variable's URL, from the environment or else from the file."""
    name = arguments[0]
    root = Path(__file__).resolve().parent.parent
    file = os.environ.get("ENV_FILE", ".env")
    try:
        variables = read_env_file(root / file) if file and (root / file).exists() else {}
    except RefusedFile:
        return 1  # the process that starts next reports the reason
    sys.stdout.write((variables | os.environ).get(name, "").partition("://")[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
