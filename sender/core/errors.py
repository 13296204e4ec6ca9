"""The errors that sender raises: facts are attributes, words are in `__str__`.

What a server says is a value (`Reply`), never an exception above `smtp/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sender.core.outcome import Trouble
    from sender.core.stage import Stage


class SenderError(Exception):
    """Every error of our own."""


class Problem(SenderError):  # noqa: N818 - a configuration has problems, and they are shown together
    """One thing that is wrong with what a person wrote: place, name, value, rule."""

    def __init__(self, place: str, name: str, value: object, rule: str) -> None:
        super().__init__(place, name, value, rule)
        self.place = place
        self.name = name
        self.value = value
        self.rule = rule

    def __str__(self) -> str:
        if not self.name:
            return f"{self.place}: {self.rule}"
        return f"{self.place}: {self.name} = {_toml(self.value)}: {self.rule}"


class ConfigError(SenderError):
    """A configuration cannot be used: every problem at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class SpoolError(SenderError):
    """The spool cannot remember or tell something."""

    def __init__(self, doing: str, why: object) -> None:
        super().__init__(doing, why)
        self.doing = doing
        self.why = why

    def __str__(self) -> str:
        return f"spool: {self.doing}: {self.why}"


class SpoolBusyError(SpoolError):
    """Another process delivers from this spool."""


class LaneError(SenderError):
    """There is no lane of a name. `near` are names that may be meant."""

    def __init__(self, name: str, near: Sequence[str] = ()) -> None:
        super().__init__(name, near)
        self.name = name
        self.near = tuple(near)

    def __str__(self) -> str:
        meant = f"; near it: {', '.join(map(repr, self.near))}" if self.near else ""
        return f"there is no lane {self.name!r}{meant}"


class AddressError(SenderError, ValueError):
    """A mailbox or path is not what RFC 5321 section 4.1.2 allows."""

    def __init__(self, value: str, rule: str) -> None:
        super().__init__(value, rule)
        self.value = value
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.value!r}: {self.rule}"


class SessionError(SenderError):
    """A session with a receiver ended without a reply that says why."""

    def __init__(self, host: str, stage: Stage, trouble: Trouble, detail: str) -> None:
        super().__init__(host, stage, trouble, detail)
        self.host = host
        self.stage = stage
        self.trouble = trouble
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.host}: {self.stage.doing}: {self.detail}"


def _toml(value: object) -> str:
    """Write a value as it would stand in a configuration file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    return str(value)
