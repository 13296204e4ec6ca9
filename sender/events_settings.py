"""`[events]`: where events go, and how."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainSerializer

from sender.tables import Duration, MaybeZeroDuration, OptionalSize, Size, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Kind = Literal[
    "accepted", "delivered", "deferred", "bounced", "expired", "removed", "window", "suspended", "resumed"
]  # of events
_PREFIX = "whsec_"  # what follows is base64 (Standard Webhooks)
_SIZE_MIN = 64 * 2**10
_KEEP_MAX = 1000  # each is renamed when the file is full


def _url(value: str) -> str:
    if value:
        try:
            parts = urlsplit(value)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError('must be a URL such as "https://example.com/events"')
    return value


def secret_key(value: str) -> bytes:
    """Give the key that a secret stands for. Raises ValueError with the rule."""
    if not value.startswith(_PREFIX):
        return value.encode()
    try:
        key = base64.b64decode(value.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError(f'must be base64 after "{_PREFIX}"')
    return key


def _secret(value: str) -> str:
    secret_key(value)
    return value


def _file_size(value: int | None) -> int | None:
    if value is not None and value < _SIZE_MIN:
        raise ValueError(f"must be {_SIZE_MIN} or more")
    return value


FileSize = Annotated[OptionalSize, AfterValidator(_file_size)]
Url = Annotated[str, AfterValidator(_url)]
# Whoever is shown the configuration is not shown secrets.
Secret = Annotated[str, AfterValidator(_secret), PlainSerializer(lambda value: "(set)" if value else "")]


class EventsSettings(Table):
    """`[events]`: one line of JSON for each thing that happens, in a file, and to a webhook in batches."""

    file: str = ""
    max_size: FileSize = None  # of the file, which then is renamed; None: whoever moves it away says SIGHUP
    keep: Annotated[int, Field(ge=1, le=_KEEP_MAX)] = 10  # renamed files
    webhook: Url = ""
    webhook_secret: Secret = ""
    webhook_secret_file: str = ""
    webhook_events: tuple[Kind, ...] = ()  # empty: all
    webhook_batch_size: Annotated[int, Field(ge=1, le=10_000)] = 500
    webhook_batch_interval: Duration = 1.0
    webhook_timeout: Duration = 10.0  # of one request
    webhook_backoff: Duration = 1.0
    webhook_backoff_max: Duration = 300.0
    webhook_proxy: Url = ""
    webhook_buffer: Annotated[Size, Field(ge=_SIZE_MIN)] = 256 * 2**20
    webhook_folder: str = "webhook"  # beside the file of the spool
    webhook_drain: MaybeZeroDuration = 5.0  # what a stop may take to send the rest

    @property
    def held(self) -> tuple[object, ...]:
        """What holds for a process's life; everything else may change when the configuration is reloaded."""
        return self.file, self.max_size, self.keep, bool(self.webhook), self.webhook_buffer, self.webhook_folder

    def contradictions(self, is_missing: Callable[[str], bool]) -> Iterator[tuple[str, str, str]]:
        """Find what is wrong with it as a whole: key, value and rule."""
        if self.webhook_secret and self.webhook_secret_file:
            yield "webhook_secret_file", self.webhook_secret_file, "must not be set with webhook_secret"
        elif self.webhook_secret_file and is_missing(self.webhook_secret_file):
            yield "webhook_secret_file", self.webhook_secret_file, "must be a file that can be read"
