"""`sender enqueue`: a message for many, and how it is to go."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.scenes.test_commands import sender

_MESSAGE = "From: a@b.test\nDate: x\nMessage-ID: y\n\nbody\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write a configuration whose port nobody listens on."""
    path = tmp_path / "sender.toml"
    path.write_text('hostname = "sender.test"\n[http]\nlisten = "127.0.0.1:9"\n')
    (tmp_path / "message.eml").write_text(_MESSAGE)
    return path


async def _enqueue(config: Path, *words: str, stdin: str = "") -> tuple[int, str, str]:
    return await sender("enqueue", "--config", str(config), "--from", "a@b.test", *words, stdin=stdin)


def _rows(config: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(config.parent / "spool/spool.db")) as database:
        return database.execute(statement).fetchall()


async def test_a_list_of_a_hundred_thousand_is_one_message(config: Path) -> None:
    """All of them are spooled by one call, in one commit, with one copy of the content."""
    recipients = config.with_name("list")
    recipients.write_text("".join(f"user{number}@site{number % 50}.test\n" for number in range(100_000)))
    async with asyncio.timeout(60):
        code, output, errors = await _enqueue(config, "--to-file", str(recipients), stdin=_MESSAGE)
    assert (code, errors) == (0, "")
    assert _rows(config, "SELECT count(*) FROM messages") == [(1,)]
    assert _rows(config, "SELECT count(DISTINCT rcpt_to), min(id), max(id) FROM recipients") == [(100_000, 1, 100_000)]
    code, shown, _ = await sender("queue", "--json", "--config", str(config))
    assert (code, json.loads(shown)["queued"]) == (0, 100_000)
    assert output.strip()


async def test_a_list_may_have_remarks_and_repeats(config: Path) -> None:
    """Empty lines and those that begin with # are passed over; each recipient is one once."""
    recipients = config.with_name("list")
    recipients.write_bytes(b"# who asked\r\nb@b.test\r\n\r\n  c@c.test\n#d@d.test\nb@b.test\na@a.test")
    code, _, errors = await _enqueue(config, "--to", "a@a.test", "--to-file", str(recipients), stdin=_MESSAGE)
    assert (code, errors) == (0, "")
    assert _rows(config, "SELECT rcpt_to FROM recipients ORDER BY id") == [("a@a.test",), ("b@b.test",), ("c@c.test",)]


async def test_a_list_may_come_from_standard_input(config: Path) -> None:
    """Where the message is a file; both cannot come from there."""
    message = str(config.with_name("message.eml"))
    code, _, _ = await _enqueue(config, "--to-file", "-", message, stdin="b@b.test\nc@c.test\n")
    assert code == 0
    assert _rows(config, "SELECT count(*) FROM recipients") == [(2,)]
    code, _, errors = await _enqueue(config, "--to-file", "-", stdin="b@b.test\n")
    rule = "must be a file where the message comes from standard input"
    assert (code, errors) == (2, f'command line: --to-file = "-": {rule}\n')


async def test_every_problem_of_a_list_is_named_with_its_line(config: Path) -> None:
    """File and line, beside those of the command line; nothing is spooled then."""
    recipients = config.with_name("list")
    recipients.write_bytes(b"b@b.test\nnobody\n\nc d@d.test\n\xff@e.test\n")
    code, _, errors = await _enqueue(config, "--to", "x", "--to-file", str(recipients), stdin=_MESSAGE)
    assert code == 2
    assert [line.split(" = ")[0] for line in errors.splitlines()] == [
        "command line: --to",
        f"{recipients}: line 2",
        f"{recipients}: line 4",
        f"{recipients}: line 5",
    ]
    assert not (config.parent / "spool").exists()


@pytest.mark.parametrize("words", [(), ("--to-file", "/dev/null"), ("--to-file", "/none")])
async def test_a_message_without_recipients_is_not_enqueued(config: Path, words: tuple[str, ...]) -> None:
    """Neither without any, nor with an empty list, nor with one that is not there."""
    code, _, errors = await _enqueue(config, *words, stdin=_MESSAGE)
    assert code in {1, 2}
    assert errors.startswith(("command line: --to", "sender: /none: cannot be read"))
    assert not (config.parent / "spool").exists()


async def test_how_it_is_to_go_is_in_the_spool(config: Path) -> None:
    """Stream, priority, campaign, instants and what notices are wanted, for every recipient."""
    at = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=1)
    until = at + dt.timedelta(hours=1)
    words = (
        *("--to", "b@b.test", "--to", "c@c.test", "--stream", "news", "--priority", "bulk", "--campaign", "spring"),
        *("--send-at", at.isoformat(), "--expires-at", until.isoformat(), "--notify", "success,delay"),
        *("--envelope-id", "a=1"),
    )
    code, _, errors = await _enqueue(config, *words, stdin=_MESSAGE)
    assert (code, errors) == (0, "")
    ((stream, priority, expires_at, options),) = _rows(
        config, "SELECT stream, priority, expires_at, options FROM messages"
    )
    assert (stream, priority, expires_at) == ("news", 2, until.timestamp())
    assert json.loads(str(options)) == {"envelope_id": "a+3D1", "send_at": at.timestamp(), "campaign": "spring"}
    rows = _rows(config, "SELECT rcpt_to, dsn, due_at FROM recipients ORDER BY id")
    assert rows == [(rcpt_to, "NOTIFY=SUCCESS,DELAY", at.timestamp()) for rcpt_to in ("b@b.test", "c@c.test")]


@pytest.mark.parametrize(
    "words",
    [
        ("--priority", "soon"),
        ("--campaign", "a b"),
        ("--stream", "\x1b"),
        ("--send-at", "tomorrow"),
        ("--send-at", "2026-12-01T08:00:00"),
        ("--send-at", "2199-01-01T00:00:00Z"),
        ("--expires-at", "2020-01-01T00:00:00Z"),
        ("--notify", "sometimes"),
        ("--envelope-id", "a\r\nDATA"),
        ("--envelope-id", "x" * 101),
    ],
)
async def test_i3_what_cannot_be_asked_for_is_refused(config: Path, words: tuple[str, str]) -> None:
    """It is wrong usage: exit code 2, the option is named, and nothing is spooled."""
    code, _, errors = await _enqueue(config, "--to", "b@b.test", *words, stdin=_MESSAGE)
    assert code == 2
    assert words[0] in errors
    assert not (config.parent / "spool").exists()
