"""Inputs near those that are known to be hard: a corpus in files, and what chance makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

_FOLDER = Path(__file__).with_name("corpus")
_BYTES = b'\x00\t\n\r \x1b-.0159<>@[]"\\{}\x7f\x80\xc3\xff'
_EDITS = 6


def corpus(name: str) -> list[bytes]:
    """Read a file of inputs: one a line, with Python's escapes; lines that begin with `#` are words about them."""
    lines = (_FOLDER / f"{name}.txt").read_text(encoding="ascii").splitlines()
    return [line.encode().decode("unicode_escape").encode("latin-1") for line in lines if not line.startswith("#")]


def line(data: bytes) -> str:
    """Write an input as a line of the corpus."""
    return data.decode("latin-1").encode("unicode_escape").decode()


def mutations(inputs: Sequence[bytes], rng: Random, count: int) -> Iterator[bytes]:
    """Give the inputs, and then so many that chance has made of them."""
    yield from inputs
    for _ in range(count):
        data = bytearray(rng.choice(inputs))
        for _ in range(rng.randint(1, _EDITS)):
            _edit(data, inputs, rng)
        yield bytes(data)


def _edit(data: bytearray, inputs: Sequence[bytes], rng: Random) -> None:
    at = rng.randint(0, len(data))
    length = rng.choice([1, 1, 2, 8, len(data)])
    match rng.randrange(7):
        case 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        case 1:
            data[at:at] = bytes([rng.choice(_BYTES)])
        case 2:
            del data[at : at + length]
        case 3:
            data[at:at] = data[at : at + length] * rng.choice([1, 1, 2, 50])
        case 4:
            other = rng.choice(inputs)
            data[at:] = other[rng.randint(0, len(other)) :]
        case 5 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case _:
            data[at:at] = rng.choice([b"\r\n", b"\r\n.\r\n", b"250 ", b"250-", b"\xe2\x80\xa8", b"\xed\xb0\x80"])


def pieces(data: bytes, rng: Random) -> Iterator[bytes]:
    """Cut an input anywhere."""
    while data:
        length = rng.choice([1, 2, 3, 7, 50, len(data)])
        yield data[:length]
        data = data[length:]
