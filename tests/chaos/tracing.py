"""What a program wrote to its files and said to its clients, in order: read from a trace of its system calls.

The program runs unchanged under strace. A write counts from its beginning on, a sync from its end: what is on the disk
for certain is never more than that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TRACED = (
    "openat,write,writev,pwrite64,fdatasync,fsync,ftruncate,unlink,unlinkat,rename,renameat,renameat2,sendto,sendmsg"
)
_LONGEST = 64 * 2**20  # bytes of one call that are shown
_STRING = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"')
_LINE = re.compile(rb"(\d+) +(?:<\.\.\. )?(\w+)(.*)", re.DOTALL)
_NUMBER = re.compile(rb"\d+")
_FILE = re.compile(rb"^\(?(\d+)<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that were given to the system for a file."""

    path: str
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file was given another length."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Unlink:
    """A file was removed."""

    path: str


@dataclass(frozen=True, slots=True)
class Sync:
    """What was written to a file before is on the disk; of a folder, which files there are."""

    path: str


@dataclass(frozen=True, slots=True)
class FailedSync:
    """The system said that it could not: what was written before may be there or not, and it is not tried again."""

    path: str


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes that were given to the system for a client."""

    content: bytes


Step = Write | Truncate | Unlink | Sync | FailedSync | Said


def command(trace: Path) -> list[str]:
    """Give what stands before a program that is to be traced."""
    return [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        str(_LONGEST),
        "-e",
        f"trace={_TRACED}",
        "-e",
        "signal=none",
        "-o",
        str(trace),
    ]


def steps(trace: Path) -> Iterator[Step]:
    """Read a trace."""
    syncing: dict[bytes, bytes] = {}  # by thread: what was begun
    with trace.open("rb") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue
            thread, call, rest = match.groups()
            if call in {b"fdatasync", b"fsync"}:
                begun = rest if b"resumed>" not in rest[:12] else syncing.pop(thread)
                if b"<unfinished" in rest:
                    syncing[thread] = begun
                elif b"= 0" in rest:
                    yield Sync(_path(begun))
                elif b"= -1" in rest:
                    yield FailedSync(_path(begun))
            elif b"resumed>" not in rest[:12]:
                yield from _step(call, rest)


def _step(call: bytes, rest: bytes) -> Iterator[Step]:
    if call == b"pwrite64":
        _length, offset = map(int, _NUMBER.findall(rest, rest.rindex(b'"'))[:2])
        yield Write(_path(rest), offset, _content(rest))
    elif call == b"ftruncate":
        yield Truncate(_path(rest), int(_NUMBER.findall(rest, rest.index(b">"))[0]))
    elif call in {b"unlink", b"unlinkat"}:
        yield Unlink(_content(rest).decode())
    elif call in {b"write", b"writev", b"sendto", b"sendmsg"} and _path(rest).startswith(("socket:", "TCP:")):
        yield Said(_content(rest))


def _path(rest: bytes) -> str:
    match = _FILE.match(rest)
    return _plain(match[2]).decode() if match else ""


def _content(rest: bytes) -> bytes:
    return b"".join(_plain(text) for text in _STRING.findall(rest))


def _plain(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode()) if text.startswith(b"\\x") else text
