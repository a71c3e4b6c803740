"""Evaluates the text expressions of an exported script, as Pine does: what its alert really sends.

Knows string literals, `+`, `a > b ? c : d`, `str.tostring`, `str.replace_all` and the script's own functions.
What it does not know it refuses, so that a script that changes its ways cannot pass unread.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<name>[a-z_][a-z0-9_.]*)|(?P<sign>[+(),?:>]))"""
)
_FUNCTION = re.compile(r"^(\w+)\(string (\w+)\) =>\n((?:    .*\n?)+)", re.MULTILINE)
_ALERT = re.compile(r"^    alert\((.+), alert\.freq_once_per_bar_close\)$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"^(leverage_field) = (.+)$", re.MULTILINE)

Value = str | int | float


@dataclass(frozen=True)
class _Function:
    parameter: str
    body: str


def alert_messages(script: str, variables: Mapping[str, Value]) -> dict[str, str]:
    """The messages of all alerts of a script, by the expression in `alert(…)`."""
    functions = {name: _Function(parameter, body) for name, parameter, body in _FUNCTION.findall(script)}
    known = dict(variables)
    for name, expression in _ASSIGNMENT.findall(script):
        known[name] = _Reader(expression, functions, known).value()
    messages = {}
    for expression in _ALERT.findall(script):
        message = _Reader(expression, functions, known).value()
        assert isinstance(message, str)
        messages[expression] = message
    return messages


def unquoted(literal: str) -> str:
    """What a Pine string literal stands for."""
    return re.sub(r"\\(.)", r"\1", literal[1:-1])


class _Reader:
    def __init__(self, text: str, functions: Mapping[str, _Function], variables: Mapping[str, Value]) -> None:
        self._tokens = list(_tokens(text))
        self._functions = functions
        self._variables = variables

    def value(self) -> Value:
        value = self._expression()
        assert not self._tokens, f"left over: {self._tokens}"
        return value

    def _expression(self) -> Value:
        value = self._sum()
        if self._accept(">"):
            right = self._sum()
            assert isinstance(value, int | float)
            assert isinstance(right, int | float)
            return self._choice(value > right)
        return value

    def _choice(self, condition: bool) -> Value:
        assert self._accept("?")
        yes = self._sum()
        assert self._accept(":")
        no = self._sum()
        return yes if condition else no

    def _sum(self) -> Value:
        value = self._term()
        while self._accept("+"):
            other = self._term()
            assert isinstance(value, str), "Pine joins text with text only"
            assert isinstance(other, str), "Pine joins text with text only"
            value += other
        return value

    def _term(self) -> Value:
        kind, token = self._tokens.pop(0)
        if kind == "text":
            return unquoted(token)
        if kind == "number":
            return float(token) if "." in token else int(token)
        assert kind == "name", f"unexpected {token!r}"
        return self._call(token) if self._accept("(") else self._variables[token]

    def _call(self, name: str) -> Value:
        arguments = [self._expression()]
        while self._accept(","):
            arguments.append(self._expression())
        assert self._accept(")")
        if name == "str.tostring":
            (value,) = arguments
            assert not isinstance(value, str)
            return format(value, "g") if isinstance(value, float) else str(value)
        if name == "str.replace_all":
            source, target, replacement = map(str, arguments)
            return source.replace(target, replacement)
        function = self._functions[name]
        (argument,) = arguments
        inner = {**self._variables, function.parameter: argument}
        return _Reader(function.body, self._functions, inner).value()

    def _accept(self, sign: str) -> bool:
        if self._tokens and self._tokens[0] == ("sign", sign):
            self._tokens.pop(0)
            return True
        return False


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        assert match, f"not understood: {text[position : position + 40]!r}"
        kind = match.lastgroup
        assert kind is not None
        tokens.append((kind, match[kind]))
        position = match.end()
    return tokens
