"""A daemon that only accepts, asked over HTTP, and what it has taken."""

from __future__ import annotations

import email
import email.policy
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from sender.daemon import Daemon, Role
from sender.intake.tokens import digest, new_token
from sender.settings import from_tables
from tests.dialogs.api.client import Answer, call

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sender.clock import Clock

MESSAGE: dict[str, Any] = {
    "from": "Shop <shop@example.com>",
    "to": ["Ann <ann@example.net>"],
    "subject": "Order",
    "text": "It is on its way.",
}
BATCH: dict[str, Any] = {
    "template": {"from": "Shop <shop@example.com>", "subject": "Hello {{ name }}", "text": "Dear {{ name }}"},
    "recipients": [
        {"rcpt_to": "ann@example.net", "substitutions": {"name": "Ann"}},
        {"rcpt_to": "bert@example.net", "substitutions": {"name": "Bert"}},
    ],
}
_TOKENS = {
    "shop": 'scopes = ["send"]\nsenders = ["@example.com"]\nrate = "100/min"',
    "reader": 'scopes = ["read"]',
    "operator": 'scopes = ["operate"]',
    "old": 'scopes = ["send", "read", "operate"]\nexpires = 2020-01-01',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message in the spool."""

    mail_from: str
    rcpt_tos: tuple[str, ...]
    content: bytes
    stream: str
    options: Mapping[str, Any]
    dsn: str

    @property
    def message(self) -> EmailMessage:
        """Read the content."""
        message = email.message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        return message


@dataclass
class House:
    """What a test may ask, look at and break."""

    daemon: Daemon
    tokens: dict[str, str] = field(default_factory=dict)  # what each client shows, by its name

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.daemon.http_port

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        as_: str = "",
    ) -> Answer:
        """Make a call, as somebody who shows a token."""
        shown = {"Authorization": f"Bearer {self.tokens[as_]}"} if as_ else {}
        return await call(self.port, method, path, body, shown | dict(headers or {}))

    async def send(self, body: object = None, http: Mapping[str, str] | None = None, **changes: Any) -> Answer:  # noqa: ANN401 - JSON
        """Send one message: the usual one with changes, or another body."""
        return await self.call("POST", "/v1/messages", MESSAGE | changes if body is None else body, http)

    async def batch(self, body: object = None, http: Mapping[str, str] | None = None, **changes: Any) -> Answer:  # noqa: ANN401 - JSON
        """Send a batch: the usual one with changes, or another body."""
        return await self.call("POST", "/v1/batches", BATCH | changes if body is None else body, http)

    def stored(self) -> list[Stored]:
        """Read from the spool's file what has been taken, in order."""
        with closing(sqlite3.connect(f"file:{self.daemon.settings.spool_path}?mode=ro", uri=True)) as database:
            found = []
            for row in database.execute("SELECT id, mail_from, stream, options FROM messages ORDER BY id").fetchall():
                recipients = database.execute(
                    "SELECT rcpt_to, dsn FROM recipients WHERE message_id = ? ORDER BY id", row[:1]
                ).fetchall()
                blocks = database.execute(
                    "SELECT content FROM contents WHERE message_id = ?1"
                    " UNION ALL SELECT content FROM (SELECT content FROM blocks WHERE message_id = ?1 ORDER BY number)",
                    row[:1],
                ).fetchall()
                found.append(
                    Stored(
                        mail_from=row[1],
                        rcpt_tos=tuple(rcpt_to for rcpt_to, _ in recipients),
                        content=b"".join(block for (block,) in blocks),
                        stream=row[2],
                        options=json.loads(row[3]) if row[3] else {},
                        dsn=recipients[0][1],
                    )
                )
            return found

    def the_message(self) -> Stored:
        """Give the only message that has been taken."""
        (stored,) = self.stored()
        return stored


async def open_house(
    directory: Path,
    *,
    tokens: bool = False,
    clock: Clock | None = None,
    role: Role = Role.INTAKE,
    **tables: Any,  # noqa: ANN401 - any table
) -> House:
    """Start a daemon, which only accepts if nothing else is said; `tables` are laid over its configuration."""
    directory.mkdir(parents=True, exist_ok=True)
    http: dict[str, Any] = {"listen": "127.0.0.1:0", "intake_listen": "127.0.0.1:0"}
    shown: dict[str, str] = {}
    if tokens:
        shown = {name: new_token() for name in _TOKENS}
        text = "".join(f'[{name}]\ntoken = "{digest(shown[name])}"\n{keys}\n' for name, keys in _TOKENS.items())
        (directory / "tokens.toml").write_text(text)
        http["tokens_file"] = "tokens.toml"
    given = {
        "hostname": "mail.sender.test",
        "smtp": {"listen": []},
        "spool": {"url": "sqlite:spool.db", "min_free": "1MiB"},
        "events": {"file": "events.jsonl"},
    }
    for name, table in tables.items():
        given[name] = {**given.get(name, {}), **table}  # type: ignore[dict-item] # tables are tables
    given["http"] = http | tables.get("http", {})
    settings = from_tables(given, directory / "sender.toml")
    daemon = Daemon(settings, role, clock=clock)
    await daemon.start()
    return House(daemon, shown)
