"""Named instants in the life of a daemon, and what happens at them: the program itself knows of none.

A point is a function of the program, and whether the fault comes before its call or after it. It is wrapped in the
process that is to suffer; nothing else of the program is changed.
"""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_FAILS_S = 1.5  # for which the database fails, where that is asked for


class Fault(StrEnum):
    """What happens at a point."""

    KILL = "SIGKILL"
    RAISE = "exception"  # of a kind that nobody expects
    STOP = "cancelled"  # as on a second SIGTERM: every task is cancelled, wherever it is


class FaultError(Exception):
    """What nobody expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """What is to happen in one process: at the `nth` passage of a point, once."""

    target: str  # "module:name" or "module:Class.name"
    after: bool
    fault: Fault
    nth: int
    fired: str  # a file that says that it has happened
    settling_fails: bool = False  # the database refuses outcomes for a while


class _Passages:
    """Counts how often a point is passed, for the fault to happen at the right one."""

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self._count = 0

    def pass_by(self, *, after: bool) -> None:
        """Hear that the call begins, or that it has ended."""
        if after is self._trap.after:
            self._count += 1
            if self._count == self._trap.nth:
                _happen(self._trap)

    def on_the_way(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function."""
        return self._awaited(function) if inspect.iscoroutinefunction(function) else self._called(function)

    def _awaited(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def awaited(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the function has
            self.pass_by(after=False)
            result = await function(*arguments, **named)
            self.pass_by(after=True)
            return result

        return awaited

    def _called(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as above
            self.pass_by(after=False)
            result = function(*arguments, **named)
            self.pass_by(after=True)
            return result

        return called


def install(trap: Trap) -> None:
    """Set it in this process."""
    if trap.settling_fails:
        _wrap("sender.spool.claims:settle", _failing)
    _wrap(trap.target, _Passages(trap).on_the_way)


def _wrap(target: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *names, name = path.split(".")
    for each in names:
        owner = getattr(owner, each)
    setattr(owner, name, wrapper(getattr(owner, name)))


def _failing(function: Callable[..., Any]) -> Callable[..., Any]:
    began_at: list[float] = []

    def called(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the function has
        began_at.append(time.monotonic())
        if began_at[-1] - began_at[0] < _FAILS_S:
            raise sqlite3.OperationalError("database or disk is full")
        return function(*arguments, **named)

    return called


def _happen(trap: Trap) -> None:
    os.close(os.open(trap.fired, os.O_CREAT | os.O_WRONLY, 0o600))
    match trap.fault:
        case Fault.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Fault.RAISE:
            raise FaultError(f"at {trap.target}")
        case Fault.STOP:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
