"""Message ids: sortable by time, unique over processes and over steps of the clock.

An id has 63 bits: 41 of milliseconds since 2020, 10 of the process (its token in the spool), 12 that count.
"""

from __future__ import annotations

from sender.core.errors import SenderError

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_EPOCH_MS = 1_577_836_800_000
_WORDS, _BITS = 13, 63
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_PAIR_SHIFTS = range(50, -1, -10)
_PROCESS_BITS, _COUNT_BITS = 10, 12
_SHIFT = _PROCESS_BITS + _COUNT_BITS


class MessageIds:
    """Makes the ids of one process. `after` is the highest id in the spool: no id made here is below it."""

    def __init__(self, process: int, after: int = 0) -> None:
        self._process = process % (1 << _PROCESS_BITS)
        self._ms = after >> _SHIFT
        self._count = -1 if not after else (1 << _COUNT_BITS) - 1

    def next(self, now: float) -> int:
        """Make an id at `now` (seconds since 1970). A clock that steps back does not turn the order."""
        ms = int(now * 1000) - _EPOCH_MS
        if ms > self._ms:
            self._ms, self._count = ms, 0
        elif self._count + 1 < 1 << _COUNT_BITS:
            self._count += 1
        else:
            self._ms, self._count = self._ms + 1, 0
        return (self._ms << _SHIFT) | (self._process << _COUNT_BITS) | self._count


def id_text(message_id: int) -> str:
    """Write an id: 13 characters that sort as the ids do."""
    return _ALPHABET[message_id >> 60] + "".join([_PAIRS[message_id >> shift & 1023] for shift in _PAIR_SHIFTS])


def id_number(text: str) -> int:
    """Read what `id_text` wrote. Raises SenderError."""
    if len(text) != _WORDS or not all(character in _VALUES for character in text.lower()):
        raise SenderError(f"{text!r} is no message id: must be 13 letters and digits")
    number = 0
    for character in text.lower():
        number = number << 5 | _VALUES[character]
    if number >> _BITS:
        raise SenderError(f"{text!r} is no message id: must be at most {id_text((1 << _BITS) - 1)}")
    return number


def id_at(now: float) -> int:
    """Give the lowest id that could be made at `now`: what is older has a smaller one."""
    return max(0, int(now * 1000) - _EPOCH_MS) << _SHIFT


def id_time(message_id: int) -> float:
    """Read out of an id when it was made, in seconds since 1970."""
    return ((message_id >> _SHIFT) + _EPOCH_MS) / 1000
