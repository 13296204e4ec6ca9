"""A spool's files with mail of every kind and state in them, and what a disk may do to them."""

from __future__ import annotations

import shutil
import sqlite3
import zlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.identity import MessageIds, id_text
from sender.core.options import Options
from sender.core.selection import Kind, Selection
from sender.spool.contract import BLOCK, NewMessage, Priority, Receipt, Settlement, State
from sender.spool.sqlite import Role, open_spool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from random import Random

    from sender.spool.sqlite import SqliteSpool

NOW = 1_790_000_000.0
SIDES = ("", "-wal", "-deliveries", "-hands")
_PAGE = 4096
_KINDS = ("flip", "flip", "bits", "zero", "truncate", "swap", "copy", "noise")


@dataclass(frozen=True, slots=True)
class Content:
    """What was accepted under an id."""

    message: NewMessage
    whole: bytes


async def make(
    folder: Path, *, messages: int = 60, lives: bool = True
) -> tuple[Sequence[Mapping[str, bytes]], Mapping[int, Content]]:
    """Fill a spool, and let its process end without a word: its files, and what was accepted.

    `lives`: some of it is delivered, deferred, held or in hand then. The files come twice: as they are then, and with
    all that was in the write-ahead log in the database.
    """
    path = folder / "spool.db"
    spool = await open_spool(path, Role.DELIVERY, now=NOW, commit_interval_s=0.0)
    contents = {}
    for number in range(messages):
        content = _content(number, spool.ids)
        contents[content.message.id] = content
        await _accept(spool, content)
    await spool.set_sites({f"{number}.test": f"mx{number % 2}.test" for number in range(5)})
    if lives:
        await _live(spool, contents)
    await spool.save_lanes({"default/mx0.test": {"window": 5}}, NOW)
    files = _read(path)
    await spool.close(clean=False)
    write(folder, files)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        database.execute("PRAGMA journal_mode = DELETE").fetchall()
    checked = _read(path)
    shutil.rmtree(folder)
    return [files, checked], contents


def _read(path: Path) -> dict[str, bytes]:
    sides = {side: path.with_name(path.name + side) for side in SIDES}
    return {side: file.read_bytes() for side, file in sides.items() if file.exists()}


def _content(number: int, ids: MessageIds) -> Content:
    whole = f"Subject: message {number}\r\n\r\n{number} is what this is about.\r\n".encode() * (1 + number % 7)
    if number == 53:
        whole += b"%d in a line of a large message\r\n" % number * (BLOCK // 25)
    names = ("user", "Müller", '"a b"')
    message = NewMessage(
        id=ids.next(NOW),
        mail_from="" if number % 9 == 0 else f"from{number}@origin.test",
        rcpt_tos=tuple(f"{names[one % 3]}{number}@{(number + one) % 5}.test" for one in range(1 + number % 4)),
        domains=tuple(f"{(number + one) % 5}.test" for one in range(1 + number % 4)),
        content=whole[:BLOCK],
        size=len(whole),
        accepted_at=NOW,
        due_ats=tuple(NOW for _ in range(1 + number % 4)),
        stream="news" if number % 3 else "default",
        priority=Priority(number % 3),
        blocks=-(-len(whole) // BLOCK),
        options=Options(campaign="spring", metadata={"n": number}) if number % 4 == 0 else Options(),
        dsn=tuple("NOTIFY=FAILURE ORCPT=rfc822;a@b.test" for _ in range(1 + number % 4)) if number % 5 == 0 else (),
        checksum=zlib.crc32(whole),
    )
    return Content(message, whole)


async def _accept(spool: SqliteSpool, content: Content) -> None:
    message = content.message
    for number in range(1, message.blocks):
        await spool.put_block(message.id, number, content.whole[number * BLOCK : (number + 1) * BLOCK])
    receipt = Receipt(owner="ann", key=id_text(message.id), digest=b"\0" * 32, taken=1, answer=b"{}")
    await spool.accept(message, receipt=receipt)


async def _live(spool: SqliteSpool, contents: Mapping[int, Content]) -> None:
    """Deliver some, defer some, hold one, keep some deliveries beside the database, have some in hand."""
    queues = [row.id for row in await spool.queues()]
    claim = await spool.claim(queues, site="mx0.test", now=NOW, limit=40, byte_limit=10**9)
    record = b'{"reply":"450 4.7.1 later","stage":"rcpt"}'
    states = (State.DELIVERED, State.QUEUED, None, State.BOUNCED, State.QUEUED)
    kept = []
    for number, message in enumerate(claim.messages):
        state = states[number % len(states)]
        ended = [
            Settlement(recipient.id, message.id, state or State.DELIVERED, NOW + 60, recipient.attempts + 1, record)
            for recipient in message.recipients
        ]
        if state is not None:
            await spool.settle(ended, [], {"0.test": "450 4.7.1 later"}, NOW)
        elif number % 2:
            kept += ended
        spool.take_in_hand(message.id)
    await spool.keep(kept)
    last = max(contents)
    await spool.suspend(Selection(Kind.MESSAGE, id_text(last)), now=NOW, until=None, reason="an operator")


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Put files where a spool is looked for; give its path."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for side, content in files.items():
        (folder / f"spool.db{side}").write_bytes(content)
    return folder / "spool.db"


def damaged(files: Mapping[str, bytes], rng: Random) -> tuple[dict[str, bytes], str]:
    """Do something to one of the files; and say what."""
    side = rng.choice(["", "", "", *files])
    kind = rng.choice(_KINDS)
    return {**files, side: _spoilt(bytearray(files[side]), kind, rng)}, f"{kind} spool.db{side}"


def _spoilt(content: bytearray, kind: str, rng: Random) -> bytes:
    if kind == "truncate":
        return bytes(content[: rng.randrange(len(content))])
    used = len(bytes(content).rstrip(b"\0")) or 1  # most of some files is room that is not used
    at = rng.randrange(used)
    length = min(rng.choice([1, 4, 64, 512, _PAGE]), used - at)
    page, other = (rng.randrange(-(-used // _PAGE)) * _PAGE for _ in range(2))
    match kind:
        case "flip":
            for _ in range(rng.choice([1, 1, 2, 20])):
                content[rng.randrange(used)] = rng.randrange(256)
        case "bits":
            content[at] ^= 1 << rng.randrange(8)
        case "zero":
            content[at : at + length] = bytes(length)
        case "noise":
            content[at : at + length] = rng.randbytes(length)
        case "swap":
            content[page : page + _PAGE], content[other : other + _PAGE] = (
                content[other : other + _PAGE],
                content[page : page + _PAGE],
            )
        case _:
            content[page : page + _PAGE] = content[other : other + _PAGE]
    return bytes(content)
