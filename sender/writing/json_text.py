"""JSON as clients send it, of which nothing is read that readers disagree about (RFC 8259, RFC 7493).

A key stands once in an object. Text is Unicode: half a character, which JSON can write, is none. Numbers are those that
every program has: finite, whole ones below 2**63, none written with more than 40 digits in a row. Nothing is nested
deeper than `DEPTH`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from sender.core.errors import SenderError

DEPTH = 32
STRUCTURE_LIMIT = 512 * 1024  # characters of a body outside its strings
HALF = "a string has half a character in it (a lone surrogate)"
_INT_BITS = 63
_HALF = 12  # bytes of a character that is written in two halves
_CHARACTERS = (
    rb"(?:[^\"\\]++|\\[^u]|\\u[^dD]|\\u[dD][^89a-fA-F]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
_WITHIN = re.compile(_CHARACTERS)
_BETWEEN = re.compile(rb"(?:[^\"0-9]++|[0-9]{1,40}+(?![0-9])|\"" + _CHARACTERS + rb"\")*+")
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKET = re.compile(r"[][{}]")


class NotJsonError(SenderError):
    """A body is not JSON, or not such as is read here. `rule` says why."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Lexis:
    """Looks a text over, piece by piece, before it is parsed: strings and numbers. Raises NotJsonError."""

    def __init__(self, *, string_limit: int) -> None:
        self._string_limit = string_limit  # bytes
        self._in_string = False
        self._length = 0  # of the string so far
        self._rest = b""  # of which only what follows tells whether it may be

    def feed(self, piece: bytes) -> None:
        """Take a piece."""
        data, at = self._rest + piece, 0
        self._rest = b""
        while at < len(data):
            if self._in_string:
                end = self._string(data, at)
                if end is None:
                    return
                at = end
                continue
            match = _BETWEEN.match(data, at)
            at = match.end() if match is not None else at
            if data[at : at + 1] == b'"':
                self._in_string, self._length = True, 0
                at += 1
            elif at < len(data):
                raise NotJsonError("a number has more than 40 digits in a row")

    def _string(self, data: bytes, at: int) -> int | None:
        """Go on in a string that has begun; give where it ends, None where the data ends before."""
        match = _WITHIN.match(data, at)
        end = match.end() if match is not None else at
        self._length += end - at
        if self._length > self._string_limit:
            raise NotJsonError(f"a string is longer than {self._string_limit} bytes")
        if data[end : end + 1] == b'"':
            self._in_string = False
            return end + 1
        self._rest = data[end:]
        if len(self._rest) >= _HALF:
            raise NotJsonError(HALF)
        return None

    def end(self) -> None:
        """Hear that there is no more."""
        if re.match(rb"\\u[dD][89a-fA-F]", self._rest):
            raise NotJsonError(HALF)


def read_json(data: bytes, *, structure_limit: int = STRUCTURE_LIMIT) -> Any:  # noqa: ANN401 - JSON
    """Read a whole text, with so many characters outside of its strings. Raises NotJsonError."""
    lexis = Lexis(string_limit=len(data))
    lexis.feed(data)
    lexis.end()
    try:
        text = data.decode()
        _check_structure(text, structure_limit)
        return json.loads(
            text, object_pairs_hook=_object, parse_int=_whole, parse_float=_number, parse_constant=_no_constant
        )
    except UnicodeDecodeError:
        raise NotJsonError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotJsonError(f"{error.msg} in line {error.lineno}, column {error.colno}") from None


def _check_structure(text: str, limit: int) -> None:
    """Refuse what is nested too deep, or would take many times its size."""
    if len(text) <= DEPTH:
        return
    structure = _STRING.sub("", text)
    if len(structure) > limit:
        raise NotJsonError(f"it has more than {limit} characters outside of strings")
    if structure.count("{") + structure.count("[") <= DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.finditer(structure):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEPTH:
            raise NotJsonError(f"it is nested deeper than {DEPTH}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise twice(key)
            seen.add(key)
    return found


def twice(key: str) -> NotJsonError:
    """Say that a key stands twice."""
    return NotJsonError(f"the key {json.dumps(key[:100])} stands twice in an object")


def checked_number(value: float) -> int | float:
    """Give a number that every program has. Raises NotJsonError."""
    if isinstance(value, int):
        if abs(value) >> _INT_BITS:
            raise NotJsonError("a whole number is not below 2**63")
        return value
    if not math.isfinite(value):
        raise NotJsonError("a number is too large")
    return value


def _whole(digits: str) -> int | float:
    return checked_number(int(digits))


def _number(digits: str) -> int | float:
    return checked_number(float(digits))


def _no_constant(name: str) -> float:
    raise NotJsonError(f"{name} is no number of JSON")
