"""The checks of Artillery's `ensure`: reads them, and applies them to a summary as Artillery's plugin does.

Owns: the expressions and the score of `apdex`. Must not: know the file or k6.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

AGGREGATES = ("min", "max", "mean", "median", "p50", "p75", "p90", "p95", "p99", "p999")
LEGACY_CHECKS = ("min", "max", "median", "p95", "p99")
FIGURES = re.compile(
    rf"(?:http\.response_time|vusers\.session_length)\.(?:{'|'.join(AGGREGATES)}|count)"
    r"|http\.codes\.[0-9]{3}|http\.(?:requests|responses|downloaded_bytes|request_rate)"
    r"|vusers\.(?:created|completed|failed|skipped)|vusers\.created_by_name\.\w+"
    r"|errors\.[A-Za-z_]+|plugins\.expect\.(?:ok|failed)|apdex(?:\.(?:satisfied|tolerated|frustrated))?"
)
MOST_TOKENS = 200
MOST_DEPTH = 20
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)(?![\w.])|([A-Za-z$_][.\w$]*)|(==|!=|<=|>=|[-+*/%^()<>]))")
_WORDS = ("and", "or", "not")

Figures = Mapping[str, float]
_Node = Callable[[Figures], float]


class CheckError(ValueError):
    """An expression is not understood; the message says which part."""


@dataclass(frozen=True, slots=True)
class Check:
    text: str
    evaluate: _Node
    figures: tuple[str, ...]
    strict: bool = True

    def is_met(self, figures: Figures) -> bool:
        return self.evaluate(figures) == 1


def parse_check(expression: str, *, text: str | None = None, strict: bool = True) -> Check:
    """Read a check of one condition. Raises CheckError for words that this runner cannot evaluate."""
    parser = _Parser(expression)
    return Check(
        text=text or " ".join(expression.split()),
        evaluate=parser.parse(),
        figures=tuple(dict.fromkeys(parser.figures)),
        strict=strict,
    )


def threshold_check(*, figure: str, most: float) -> Check:
    return parse_check(f"{figure} < {_decimal(most)}")


def legacy_check(*, name: str, most: float) -> Check:
    """Read `p95: 200`; Artillery uses the integer part."""
    return parse_check(f"http.response_time.{name} < {_decimal(int(most))}", text=f"{name} < {int(most)}")


def error_rate_check(most: float) -> Check:
    return parse_check(
        f"((vusers.created - vusers.completed) / vusers.created * 100) <= {_decimal(most)}",
        text=f"maxErrorRate < {most:g}",
    )


def _decimal(value: float) -> str:
    return f"{value:f}".rstrip("0").rstrip(".")


def figures_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a summary by the names in expressions, with the score of apdex if there is one."""
    figures: dict[str, float] = {**summary["counters"], **summary["rates"]}
    for name, values in summary["summaries"].items():
        figures |= {f"{name}.{aggregate}": value for aggregate, value in values.items()}
    satisfied, tolerated, frustrated = (
        figures.get(f"apdex.{name}", 0) for name in ("satisfied", "tolerated", "frustrated")
    )
    if satisfied + tolerated + frustrated > 0:
        figures["apdex"] = (satisfied + tolerated / 2) / (satisfied + tolerated + frustrated)
    return figures


def _is_true(value: float) -> bool:
    return value != 0 and not math.isnan(value)


def _divide(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return left / right


def _guarded(function: Callable[[float, float], float]) -> Callable[[float, float], float]:
    """Return the function without exceptions: JavaScript's arithmetic raises none."""

    def calculate(left: float, right: float) -> float:
        try:
            return function(left, right)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return calculate


# Lowest precedence first, each left to right; `not` and the minus sign bind more tightly than all of them, as in
# filtrex, the language of Artillery's plugin.
_OPERATORS: tuple[dict[str, Callable[[float, float], float]], ...] = (
    {"or": lambda left, right: left if _is_true(left) else right},
    {"and": lambda left, right: right if _is_true(left) else left},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divide, "%": _guarded(math.fmod)},
    {"^": _guarded(math.pow)},
)


class _Parser:
    """Reads one expression; a figure that was not measured is NaN, which no comparison but != accepts."""

    def __init__(self, expression: str) -> None:
        self.tokens = self.split(expression)
        self.position = 0
        self.depth = 0
        self.figures: list[str] = []

    @staticmethod
    def split(expression: str) -> list[str]:
        tokens: list[str] = []
        text = expression.rstrip()
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise CheckError(f"is not understood from {text[position : position + 20].strip()!r} on")
            tokens.append(match.group().strip())
            position = match.end()
        if len(tokens) > MOST_TOKENS:
            raise CheckError(f"has {len(tokens)} words and signs: at most {MOST_TOKENS} are read")
        return tokens

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        word = self.peek()
        self.position += 1
        return word

    def parse(self) -> _Node:
        node = self.binary(0)
        if self.peek():
            raise CheckError(f"is not understood from {self.peek()!r} on")
        return node

    def binary(self, level: int) -> _Node:
        if level == len(_OPERATORS):
            return self.unary()
        node = self.binary(level + 1)
        while self.peek() in _OPERATORS[level]:
            calculate = _OPERATORS[level][self.take()]
            node = _Parser.applied(calculate, node, self.binary(level + 1))
        return node

    @staticmethod
    def applied(calculate: Callable[[float, float], float], left: _Node, right: _Node) -> _Node:
        return lambda figures: float(calculate(left(figures), right(figures)))

    def unary(self) -> _Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise CheckError(f"is nested deeper than {MOST_DEPTH} levels")
        node = self.operand()
        self.depth -= 1
        return node

    def operand(self) -> _Node:
        word = self.take()
        if word == "not":
            operand = self.unary()
            return lambda figures: float(not _is_true(operand(figures)))
        if word == "-":
            negated = self.unary()
            return lambda figures: -negated(figures)
        if word == "(":
            node = self.binary(0)
            if self.take() != ")":
                raise CheckError("has a ( without its )")
            return node
        if word and word[0].isdigit():
            value = float(word)
            return lambda _: value
        return self.figure(word)

    def figure(self, word: str) -> _Node:
        if word == "":
            raise CheckError("ends too early")
        if word in _WORDS or FIGURES.fullmatch(word) is None:
            raise CheckError(f"uses {word!r}, which is not a figure of the summary")
        self.figures.append(word)
        return lambda figures: figures.get(word, math.nan)
