"""The file of a batch, read in three passes, in bounded memory.

First its head, wherever that stands; then each recipient, to be checked; then each one again, to be sent. In the first
pass the text is looked over (`json_text.py`), so that the others may trust it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import ijson
import orjson
from ijson.common import JSONError

from sender.writing.fields import RefusedFieldError, checked_address, parse_mailbox
from sender.writing.json_text import DEPTH, HALF, Lexis, NotJsonError, checked_number, twice
from sender.writing.mailing import Recipient

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

RECIPIENT_LIMIT = 64 * 1024  # bytes of the strings of one recipient
METADATA_LIMIT = 4096  # bytes, as JSON
_RECIPIENT_EVENTS = 5000  # keys, values and brackets of one recipient
_HEAD_EVENTS = 50_000
_PIECE = 64 * 1024
_SLICE = 50_000  # events between two chances to be cut off
_KEYS = {"rcpt_to", "to", "substitutions", "metadata"}
_LIST = "recipients"
_OF_A_RECIPIENT = 2  # its depth: the object, and its array
_OPENING = {"start_map", "start_array"}
_CLOSING = {"end_map", "end_array"}


@dataclass(slots=True)
class Survey:
    """What the first pass finds. `has_list`: there are `recipients`, an array."""

    head: dict[str, Any] = field(default_factory=dict)
    recipients: int = 0
    has_list: bool = False


class _Text:
    """The file as ijson reads it: looked over on the way."""

    def __init__(self, file: BinaryIO, string_limit: int) -> None:
        self._file = file
        self._lexis = Lexis(string_limit=string_limit)

    def read(self, size: int) -> bytes:
        """Read a piece. Raises NotJsonError."""
        piece = self._file.read(size)
        self._lexis.feed(piece)
        if size and not piece:
            self._lexis.end()
        return piece


def survey(file: BinaryIO, *, head_limit: int) -> Generator[None, None, Survey]:
    """Read the whole file, stopping now and again; give all but the recipients, of which it counts how many there are.

    `head_limit`: bytes of the strings outside of `recipients`. Raises NotJsonError.
    """
    file.seek(0)
    reading = _Surveying(head_limit)
    try:
        for number, (event, value) in enumerate(ijson.basic_parse(_Text(file, head_limit), buf_size=_PIECE)):
            if number % _SLICE == 0:
                yield
            reading.take(event, value)
    except JSONError as error:
        raise NotJsonError(_first_line(error)) from None
    except UnicodeDecodeError:
        raise NotJsonError(HALF) from None
    return reading.found()


class _Surveying:
    """Takes the events of a file, and knows where in it they are."""

    def __init__(self, head_limit: int) -> None:
        self._survey = Survey()
        self._head = _Builder(_HEAD_EVENTS, head_limit, "all outside of recipients is")
        self._one = _Checker(_RECIPIENT_EVENTS, RECIPIENT_LIMIT, "one of the recipients is")
        self._depth = 0
        self._key = ""
        self._in_list = False

    def take(self, event: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Take one event. Raises NotJsonError."""
        closes = event in _CLOSING
        self._depth -= closes
        if self._in_list and self._depth > 1:
            if self._depth == _OF_A_RECIPIENT:
                self._survey.recipients += not closes
                self._one.begin()
            self._one.take(event, value)
        else:
            if event == "map_key" and self._depth == 1:
                self._key = value
            self._in_list = event == "start_array" and self._depth == 1 and self._key == _LIST
            self._survey.has_list |= self._in_list
            self._head.take(event, value)
        self._depth += event in _OPENING
        if self._depth > DEPTH:
            raise NotJsonError(f"it is nested deeper than {DEPTH}")

    def found(self) -> Survey:
        """Give what was found. Raises NotJsonError."""
        if not isinstance(self._head.value, dict):
            raise NotJsonError("it must be an object")
        self._survey.head = self._head.value
        if self._survey.has_list:
            del self._survey.head[_LIST]
        return self._survey


def _first_line(error: Exception) -> str:
    words = error.args[0] if error.args else ""
    text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    return text.strip().partition("\n")[0] or "it is no JSON"


class _Checker:
    """Looks at the events of a value; bounded."""

    def __init__(self, most: int, string_limit: int, what: str) -> None:
        self._most = most
        self._string_limit = string_limit
        self._what = what
        self._keys: list[set[str]] = []  # of the objects that are open
        self.begin()

    def begin(self) -> None:
        """Count from the beginning."""
        self._events = self._length = 0

    def take(self, event: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Take one event. Raises NotJsonError."""
        self._events += 1
        if event == "start_map":
            self._keys.append(set())
        elif event == "end_map":
            self._keys.pop()
        elif event == "map_key":
            if value in self._keys[-1]:
                raise twice(value)
            self._keys[-1].add(value)
            self._length += len(value)
        elif event == "string":
            self._length += len(value)
        elif event == "number":
            checked_number(value if isinstance(value, int) else float(value))
        if self._events > self._most or self._length > self._string_limit:
            raise NotJsonError(f"{self._what} longer than {self._string_limit} bytes, or more than {self._most} values")


class _Builder(_Checker):
    """Makes a value of its events."""

    value: Any = None
    _around: Any = None  # the object or array that is open
    _key: str | None = None  # in it, if it is an object

    def __init__(self, most: int, string_limit: int, what: str) -> None:
        super().__init__(most, string_limit, what)
        self._further: list[tuple[Any, str | None]] = []  # those around that one

    def take(self, event: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Take one event. Raises NotJsonError."""
        super().take(event, value)
        if event == "map_key":
            self._key = value
        elif event in _OPENING:
            inner: Any = {} if event == "start_map" else []
            self._put(inner)
            self._further.append((self._around, self._key))
            self._around, self._key = inner, None
        elif event in _CLOSING:
            self._around, self._key = self._further.pop()
        else:
            self._put(value if event != "number" or isinstance(value, int) else float(value))

    def _put(self, value: Any) -> None:  # noqa: ANN401 - JSON
        if self._around is None:
            self.value = value
        elif self._key is None:
            self._around.append(value)
        else:
            self._around[self._key] = value


def recipients(file: BinaryIO) -> Iterator[Any]:
    """Give each of the recipients, as they stand in a file that was surveyed."""
    file.seek(0)
    return iter(ijson.items(file, f"{_LIST}.item", use_float=True, buf_size=_PIECE))


def read_recipient(item: Any, place: str) -> Recipient:  # noqa: ANN401 - JSON
    """Read one of them: an address, or an object. Raises RefusedFieldError, with the field below `place`."""
    if isinstance(item, str):
        return Recipient(rcpt_to=checked_address(item, place))
    if not isinstance(item, dict):
        raise RefusedFieldError(place, "must be an address or an object")
    unknown = sorted(item.keys() - _KEYS)
    if unknown:
        raise RefusedFieldError(f"{place}.{unknown[0]}", f"unknown key; known: {', '.join(sorted(_KEYS))}")
    rcpt_to, to = item.get("rcpt_to"), item.get("to")
    if not isinstance(rcpt_to, str):
        raise RefusedFieldError(f"{place}.rcpt_to", "must be a string" if "rcpt_to" in item else "must be set")
    if to is not None and not isinstance(to, str):
        raise RefusedFieldError(f"{place}.to", "must be a string")
    for key in ("substitutions", "metadata"):
        if not isinstance(item.get(key, {}), dict):
            raise RefusedFieldError(f"{place}.{key}", "must be an object")
    return Recipient(
        rcpt_to=checked_address(rcpt_to, f"{place}.rcpt_to"),
        to=None if to is None else parse_mailbox(to, f"{place}.to"),
        substitutions=item.get("substitutions", {}),
        metadata=item.get("metadata", {}),
    )


def checked_metadata(metadata: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Check that what a client wants to have back is small enough. Raises RefusedFieldError."""
    if metadata and len(orjson.dumps(metadata)) > METADATA_LIMIT:
        raise RefusedFieldError(field, f"must be at most {METADATA_LIMIT} bytes as JSON")
    return metadata
