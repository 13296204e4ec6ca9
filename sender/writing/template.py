"""Templates: MiniJinja, of which only so much is allowed as cannot harm whoever renders it.

A template shows what is given (`{{ name }}`), has `if` and `for`, and the filters named here. It can neither call nor
change anything, and what it makes is bounded by what it was made of: there is no operator and no filter by which text
doubles, the body of a loop is short, and both the steps and the text that is shown are counted. A variable that is
missing is a fault of the recipient's, never an empty place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from minijinja import Environment, TemplateError

from sender.core.errors import SenderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCE_LIMIT = 2**20  # characters of one template
LOOP_LIMIT = 16 * 1024  # of the loops in it, with all between `for` and `endfor`
SHOWN_LIMIT = 2**20  # characters of the values that are shown in one text
_STEPS = 20_000
_STEPS_OF_A_TAG = 8
_TAGS = 10_000

FILTERS = {
    *("abs", "capitalize", "d", "default", "e", "escape", "first", "float", "int", "join", "last", "length", "lower"),
    *("replace", "round", "safe", "title", "trim", "upper", "urlencode"),
}
_TESTS = {
    *("defined", "undefined", "none", "number", "string", "sequence", "mapping", "true", "false", "odd", "even"),
    *("eq", "ne", "lt", "gt", "le", "ge"),
}
_STATEMENTS = {"if", "elif", "else", "endif", "for", "endfor"}
_GROUPING = {"if", "elif", "else", "in", "and", "or", "not", "is"}  # an opening parenthesis behind them calls nothing
_BEGIN = re.compile(r"\{[{%#]")
_TOKEN = re.compile(
    r"""\s+|(?P<end>[-+]?[%}]\})|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]+(?:\.[0-9]+)?)"""
    r"""|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign>[=!<>]=|[][().,|:=<>/%-])""",
    re.DOTALL,
)


class TemplateFault(SenderError):  # noqa: N818 - it is one of the template, or of what is put into it
    """A template cannot be used, or cannot be rendered with what was given. `rule` says why."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Templates:
    """The templates of one message, by name; `html` is the one whose values are escaped. Not for several threads."""

    def __init__(self) -> None:
        self._shown = 0
        self._fixed: dict[str, str] = {}
        self._environment = Environment(
            undefined_behavior="strict",
            auto_escape_callback=lambda name: name == "html",
            finalizer=self._show,
            pycompat=False,
            filters={"join": _join, "replace": _replace},
        )
        self._steps: dict[str, int] = {}

    def add(self, name: str, source: str) -> None:
        """Take a template. Raises TemplateFault."""
        if len(source) > SOURCE_LIMIT:
            raise TemplateFault(f"must be at most {SOURCE_LIMIT} characters")
        tags = _checked(source)
        if not tags:
            self._fixed[name] = source
            return
        self._steps[name] = _STEPS + _STEPS_OF_A_TAG * tags
        try:
            # What ends a file is a part of the text.
            self._environment.keep_trailing_newline = True
            self._environment.add_template(name, source)
        except TemplateError as error:
            raise TemplateFault(f"line {error.line or 1}: {error.detail or error.kind}") from None

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Give a text. Raises TemplateFault."""
        fixed = self._fixed.get(name)
        if fixed is not None:
            return fixed
        self._shown = 0
        self._environment.fuel = self._steps[name]
        try:
            return self._environment.render_template(name, **values)
        except TemplateError as error:
            raise TemplateFault(f"line {error.line or 1}: {_told(error)}") from None

    def _show(self, value: Any) -> Any:  # noqa: ANN401 - whatever a variable is
        """Let text and numbers be shown, but not without end."""
        if isinstance(value, str):
            self._shown += len(value)
            if self._shown > SHOWN_LIMIT:
                raise TemplateFault(f"shows values of more than {SHOWN_LIMIT} characters")
            return value
        if isinstance(value, bool | int | float):
            return value
        raise TemplateFault(f"shows {_kind(value)}, which is neither text nor a number")


def _told(error: TemplateError) -> str:
    if error.kind == "OutOfFuel":
        return "takes too many steps"
    return error.detail or ("a variable is undefined" if error.kind == "UndefinedError" else error.kind)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return "a list" if isinstance(value, list | tuple) else "an object"


def _join(values: Sequence[object], between: str = "") -> str:
    """Stand for MiniJinja's filter: of a list only, and of a bounded length."""
    if not isinstance(values, list | tuple):
        raise TemplateFault("join must be given a list")
    if not all(isinstance(value, str | int | float) for value in values):
        raise TemplateFault("join must be given a list of texts and numbers")
    words = [str(value) for value in values]
    return _bounded(sum(map(len, words)) + len(between) * len(words)) or between.join(words)


def _replace(value: object, old: str, new: str) -> str:
    """Stand for MiniJinja's filter: with a result of a bounded length."""
    text = str(value)
    return _bounded(len(text) + text.count(old) * len(new)) or text.replace(old, new)


def _bounded(length: int) -> str:
    if length > SHOWN_LIMIT:
        raise TemplateFault(f"makes values of more than {SHOWN_LIMIT} characters")
    return ""


def _checked(source: str) -> int:
    """Count the tags, all of which are allowed. Raises TemplateFault."""
    tags = end = loops = 0
    begins: list[int] = []  # of the loops that are open
    while (begin := _BEGIN.search(source, end)) is not None:
        tags += 1
        if begin[0] == "{#":
            end = source.find("#}", begin.end()) + 2
            if end < 2:  # noqa: PLR2004 - it was not found
                raise TemplateFault("a comment has no end")
            continue
        start = begin.end() + (source[begin.end() : begin.end() + 1] in {"-", "+"})
        tokens, end = _tokens(source, start, "%}" if begin[0] == "{%" else "}}")
        if begin[0] == "{%":
            word = tokens[0][1] if tokens else ""
            if word not in _STATEMENTS:
                known = ", ".join(sorted(_STATEMENTS))
                raise TemplateFault(f"has {{% {word} %}}, which is not allowed; there are {known}")
            if word == "for":
                begins.append(begin.start())
            elif word == "endfor" and begins:
                began = begins.pop()
                loops += 0 if begins else end - began
        _check_calls(tokens)
    if loops > LOOP_LIMIT or begins:
        raise TemplateFault(f"must have at most {LOOP_LIMIT} characters between for and endfor")
    if tags > _TAGS:
        raise TemplateFault(f"must have at most {_TAGS} tags")
    return tags


def _tokens(source: str, start: int, ending: str) -> tuple[list[tuple[str, str]], int]:
    """Read the tokens of a tag, and where it ends. Raises TemplateFault."""
    tokens: list[tuple[str, str]] = []
    at = start
    while (match := _TOKEN.match(source, at)) is not None:
        at = match.end()
        if match.lastgroup == "end":
            if not match[0].endswith(ending):
                break
            return tokens, at
        if match.lastgroup is not None:
            tokens.append((match.lastgroup, match[0]))
    line = source.count("\n", 0, start) + 1
    raise TemplateFault(f"line {line}: a tag has {source[at : at + 1]!r} in it, which is not allowed, or has no end")


def _check_calls(tokens: Sequence[tuple[str, str]]) -> None:
    """Find what is called: only filters and tests may be. Raises TemplateFault."""
    open_: list[str] = []
    before: tuple[str, str] = ("sign", "(")
    for here, (kind, text) in enumerate(tokens):
        if before[1] == "|" and text not in FILTERS:
            raise TemplateFault(
                f"has the filter {text!r}, which is not allowed; there are {', '.join(sorted(FILTERS))}"
            )
        if text in {"(", "["} and kind == "sign":
            open_.append(_opened(tokens, here, before))
        elif text in {")", "]"} and kind == "sign":
            if not open_:
                raise TemplateFault(f"has {text!r} too many")
            open_.pop()
        elif kind == "name" and "list" in open_:
            raise TemplateFault("has a variable in a list, which is not allowed")
        before = (kind, text)
    if open_:
        raise TemplateFault("has a bracket without its end")


def _opened(tokens: Sequence[tuple[str, str]], here: int, before: tuple[str, str]) -> str:
    """Say what an opening bracket begins. Raises TemplateFault."""
    behind_a_value = (before[0] == "name" and before[1] not in _GROUPING) or before[1] in {")", "]"}
    if tokens[here][1] == "[":
        return "subscript" if behind_a_value or before[0] == "string" else "list"
    earlier = [text for _, text in tokens[max(0, here - 3) : here - 1]]
    called = earlier[-1:] == ["|"] or (
        before[1] in _TESTS and (earlier[-1:] == ["is"] or earlier[-2:] == ["is", "not"])
    )
    if behind_a_value and not called:
        raise TemplateFault(f"calls {before[1]!r}, which is not allowed")
    return "call" if called else "group"
